/** Above the cards: how many there are and what the query looks like; while comparing, the way through them and back. */
import type { Prediction } from '../answer';
import { holds, rowOf, type Search, type State } from '../state';
import { text } from '../text';
import { useService } from '../useSimilarCases';
import { Icon } from './Icon';
import { IconButton } from './IconButton';

export function Summary({ state }: { state: State }) {
  return (
    <div className="cbmir-summary">
      {state.comparing ? <CompareControls state={state} /> : <Outcome search={state.search} />}
    </div>
  );
}

function Outcome({ search }: { search: Search }) {
  const prediction = search.phase === 'found' ? search.answer.prediction : null;
  return (
    <span>
      <span role="status">{outcome(search)}</span>
      {prediction && <LooksLike prediction={prediction} />}
    </span>
  );
}

function outcome(search: Search): string {
  if (search.phase === 'searching') return text.searching;
  return search.phase === 'found' && search.answer.cases.length > 0 ? text.found(search.answer.cases.length) : '';
}

/** Worded so that nobody reads a diagnosis into it. */
function LooksLike({ prediction: { looksMostLike, classes } }: { prediction: Prediction }) {
  const [likeliest] = classes;
  const shares = classes.map(({ label, probability }) => `${label} ${percent(probability)} %`).join(', ');
  return (
    <span className="cbmir-looks" data-cy="cbmir-looks" title={text.looksExplained(shares)}>
      {looksMostLike && likeliest
        ? text.looksMostLike(looksMostLike, percent(likeliest.probability))
        : text.looksLikeNone}
    </span>
  );
}

/** Never 100: no network is certain. */
function percent(probability: number): number {
  return Math.min(Math.round(100 * probability), 99);
}

function CompareControls({ state }: { state: State }) {
  const service = useService();
  const row = rowOf(state);
  const at = row.findIndex((one) => holds(one, state.opened));
  const { linkedScrolling } = state.options;
  return (
    <>
      <IconButton
        icon="previous"
        cy="previous"
        label={text.previous}
        disabled={at <= 0}
        onClick={() => service.step(-1)}
      />
      <span role="status" data-cy="cbmir-position">
        {at < 0 ? '' : text.comparing(at + 1, row.length)}
      </span>
      <IconButton
        icon="next"
        cy="next"
        label={text.next}
        disabled={at + 1 >= row.length}
        onClick={() => service.step(1)}
      />
      <IconButton
        icon="link"
        cy="linked"
        role="switch"
        label={text.linked}
        aria-checked={linkedScrolling}
        onClick={() => service.setLinkedScrolling(!linkedScrolling)}
      />
      <button
        type="button"
        className="cbmir-button cbmir-back"
        data-cy="cbmir-back"
        title={text.backTitle}
        onClick={() => void service.closeComparison()}
      >
        <Icon name="back" />
        {text.back}
      </button>
    </>
  );
}
