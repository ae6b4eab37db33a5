import type { SliceAnswer } from '../answer';
import { formatNearness } from '../format';
import { text } from '../text';

/** Similarity as a bar and a figure: by the archive's own nearest slices where they are known, else the cosine. */
export function SimilarityBar({
  of: { similarity, percentile },
}: {
  of: Pick<SliceAnswer, 'similarity' | 'percentile'>;
}) {
  const share = percentile === null ? Math.min(Math.max(similarity, 0), 1) : percentile / 100;
  const exact = similarity.toFixed(4);
  const title = percentile === null ? `${text.similarity} ${exact}` : text.percentile(percentile, exact);
  return (
    <span className="cbmir-similarity" title={title}>
      <span className="cbmir-similarity-bar" aria-hidden="true">
        <span style={{ width: `${100 * share}%` }} />
      </span>
      <span className="cbmir-similarity-number">
        <span className="cbmir-hidden">{text.similarity} </span>
        {formatNearness({ similarity, percentile })}
      </span>
    </span>
  );
}
