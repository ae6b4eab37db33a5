import { holds, type State } from '../state';
import { text } from '../text';
import { SmallCase } from './SmallCase';

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
            <li key={one.StudyInstanceUID}>
              <SmallCase one={one} isOpen={holds(one, opened)} cy="prior" />
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
