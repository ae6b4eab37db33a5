import type { CaseAnswer } from '../answer';
import { formatDate, formatSimilarity } from '../format';
import { holds, type State } from '../state';
import { text } from '../text';
import { useService } from '../useSimilarCases';
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
  const similarity = formatSimilarity(one.similarity);
  const date = one.StudyDate ? formatDate(one.StudyDate) : one.SeriesDescription;
  return (
    <li>
      <button
        type="button"
        className="cbmir-slice"
        data-cy="cbmir-prior"
        aria-current={isOpen}
        title={one.SeriesDescription ?? undefined}
        onClick={() => void service.open(best)}
      >
        <Thumbnail url={best.thumbnailUrl} />
        {date && <span className="cbmir-line">{date}</span>}
        <span className="cbmir-muted">{similarity}</span>
      </button>
    </li>
  );
}
