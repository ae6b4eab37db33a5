/** One line above the cards: how many there are, and while comparing, the way through them and back. */
import { holds, rowOf, type State } from '../state';
import { text } from '../text';
import { useService } from '../useSimilarCases';
import { Icon } from './Icon';

export function Summary({ state }: { state: State }) {
  return (
    <div className="cbmir-summary">
      {state.comparing ? <CompareControls state={state} /> : <span role="status">{outcome(state)}</span>}
    </div>
  );
}

function outcome({ search }: State): string {
  if (search.phase === 'searching') return text.searching;
  return search.phase === 'found' && search.answer.cases.length > 0 ? text.found(search.answer.cases.length) : '';
}

function CompareControls({ state }: { state: State }) {
  const service = useService();
  const row = rowOf(state);
  const at = row.findIndex((one) => holds(one, state.opened));
  const { linkedScrolling } = state.options;
  return (
    <>
      <IconButton name="previous" label={text.previous} disabled={at <= 0} onClick={() => service.step(-1)} />
      <span role="status" data-cy="cbmir-position">
        {at < 0 ? '' : text.comparing(at + 1, row.length)}
      </span>
      <IconButton name="next" label={text.next} disabled={at + 1 >= row.length} onClick={() => service.step(1)} />
      <button
        type="button"
        role="switch"
        className="cbmir-icon-button"
        data-cy="cbmir-linked"
        aria-checked={linkedScrolling}
        aria-label={text.linked}
        title={text.linked}
        onClick={() => service.setLinkedScrolling(!linkedScrolling)}
      >
        <Icon name="link" />
      </button>
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

interface IconButtonProps {
  name: 'previous' | 'next';
  label: string;
  disabled: boolean;
  onClick: () => void;
}

function IconButton({ name, label, disabled, onClick }: IconButtonProps) {
  return (
    <button
      type="button"
      className="cbmir-icon-button"
      data-cy={`cbmir-${name}`}
      aria-label={label}
      title={label}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon name={name} />
    </button>
  );
}
