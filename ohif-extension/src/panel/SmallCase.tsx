import type { AnyCase } from '../answer';
import { formatDate, line } from '../format';
import { useService } from '../useSimilarCases';
import { Labels } from './Labels';
import { SimilarityBar } from './SimilarityBar';
import { Thumbnail } from './Thumbnail';

interface Props {
  one: AnyCase;
  isOpen: boolean;
  cy: string;
  withLabels?: boolean;
}

/** A case in few words; opens like a card. */
export function SmallCase({ one, isOpen, cy, withLabels = false }: Props) {
  const service = useService();
  const [best] = one.slices;
  if (!best) return null;
  return (
    <button
      type="button"
      className="cbmir-slice cbmir-prior"
      data-cy={`cbmir-${cy}`}
      aria-current={isOpen}
      title={line(one.StudyDescription, one.SeriesDescription)}
      onClick={() => void service.openCase(one)}
    >
      <Thumbnail url={best.thumbnailUrl} />
      <span className="cbmir-facts">
        {withLabels && <Labels labels={one.labels} />}
        {one.StudyDate && <span>{formatDate(one.StudyDate)}</span>}
        {one.SeriesDescription && <span className="cbmir-line cbmir-muted">{one.SeriesDescription}</span>}
        <SimilarityBar of={one} />
      </span>
    </button>
  );
}
