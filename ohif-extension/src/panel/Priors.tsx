import type { CaseAnswer } from '../answer';
import { formatDate, line } from '../format';
import { holds, type State } from '../state';
import { text } from '../text';
import { useService } from '../useSimilarCases';
import { SimilarityBar } from './SimilarityBar';
import { Thumbnail } from './Thumbnail';

/** The patient's own other studies: a row of its own, as they answer another question than similar patients do. */
export function Priors({ state: { priors, opened } }: { state: State }) {
  if (priors.phase === 'none') return null;
  return (
    <section className="cbmir-priors" aria-label={text.priors} data-cy="cbmir-priors" data-state={priors.phase}>
      <h3 title={text.priorsExplained}>{text.priors}</h3>
      {priors.phase === 'searching' && <p className="cbmir-muted">{text.searching}</p>}
      {priors.phase === 'failed' && <p className="cbmir-muted">{text.priorsFailed}</p>}
      {priors.phase === 'found' && priors.cases.length === 0 && <p className="cbmir-muted">{text.noPriors}</p>}
      {priors.phase === 'found' && priors.cases.length > 0 && (
        <ul className="cbmir-slices">
          {priors.cases.map((one) => (
            <Prior key={one.StudyInstanceUID} one={one} isOpen={holds(one, opened)} />
          ))}
        </ul>
      )}
    </section>
  );
}

function Prior({ one, isOpen }: { one: CaseAnswer; isOpen: boolean }) {
  const service = useService();
  const [best] = one.slices;
  if (!best) return null;
  return (
    <li>
      <button
        type="button"
        className="cbmir-slice cbmir-prior"
        data-cy="cbmir-prior"
        aria-current={isOpen}
        title={line(one.StudyDescription, one.SeriesDescription)}
        onClick={() => void service.open(best)}
      >
        <Thumbnail url={best.thumbnailUrl} />
        <span className="cbmir-facts">
          {one.StudyDate && <span>{formatDate(one.StudyDate)}</span>}
          {one.SeriesDescription && <span className="cbmir-line cbmir-muted">{one.SeriesDescription}</span>}
          <SimilarityBar value={one.similarity} />
        </span>
      </button>
    </li>
  );
}
