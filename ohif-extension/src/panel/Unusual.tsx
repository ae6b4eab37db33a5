import type { State } from '../state';
import { text } from '../text';
import { Icon } from './Icon';

/** That the query is far from all of the archive, before any card is read. */
export function Unusual({ state: { search } }: { state: State }) {
  const unusual = search.phase === 'found' ? search.answer.unusual : null;
  if (!unusual) return null;
  return (
    <div className="cbmir-notice" role="status" data-cy="cbmir-unusual">
      <Icon name="warning" />
      <span>
        <strong>{text.unusualTitle}</strong>
        <br />
        {unusual.message}
      </span>
    </div>
  );
}
