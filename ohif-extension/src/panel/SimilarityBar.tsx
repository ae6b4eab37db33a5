import { formatSimilarity } from '../format';
import { text } from '../text';

/** Similarity (cosine, 1 for the same) as a bar and a number. */
export function SimilarityBar({ value }: { value: number }) {
  const share = Math.min(Math.max(value, 0), 1);
  return (
    <span className="cbmir-similarity" title={`${text.similarity} ${value.toFixed(4)}`}>
      <span className="cbmir-similarity-bar" aria-hidden="true">
        <span style={{ width: `${100 * share}%` }} />
      </span>
      <span className="cbmir-similarity-number">
        <span className="cbmir-hidden">{text.similarity} </span>
        {formatSimilarity(value)}
      </span>
    </span>
  );
}
