/** What was found leaves the viewer: as documents in the archive, or as a page for teaching. */
import type { Failure } from '../failure';
import { toKeep } from '../keeper';
import { resolve, rootOf } from '../orthanc';
import type { Keeping, State } from '../state';
import { text } from '../text';
import { useService } from '../useSimilarCases';
import { Icon } from './Icon';
import { IconButton } from './IconButton';

const ROOT = rootOf(import.meta.url);

export function KeepBar({ state }: { state: State }) {
  const service = useService();
  const { search, chosen, keeping } = state;
  if (search.phase !== 'found' || search.answer.cases.length === 0) return null;
  const cases = text.toKeep(toKeep(state).length, chosen.length === 0);
  const isBusy = keeping.phase === 'saving' || keeping.phase === 'drawing';
  return (
    <section className="cbmir-keep" data-cy="cbmir-keep" data-state={keeping.phase}>
      <div className="cbmir-keep-row">
        {chosen.length > 0 && <span>{text.chosen(cases)}</span>}
        <button
          type="button"
          className="cbmir-button cbmir-small"
          data-cy="cbmir-save"
          title={`${cases}. ${text.saveTitle}`}
          disabled={isBusy}
          onClick={() => void service.keeper.save()}
        >
          <Icon name="save" size={12} />
          {text.save}
        </button>
        <button
          type="button"
          className="cbmir-button cbmir-small"
          data-cy="cbmir-sheet"
          title={`${cases}. ${text.sheetSaveTitle}`}
          disabled={isBusy}
          onClick={() => void service.keeper.drawSheet()}
        >
          <Icon name="sheet" size={12} />
          {text.sheet}
        </button>
      </div>
      <div role="status">{keeping.phase !== 'none' && <Outcome keeping={keeping} />}</div>
    </section>
  );
}

function Outcome({ keeping }: { keeping: Keeping }) {
  const service = useService();
  if (keeping.phase === 'none') return null;
  if (keeping.phase === 'saving' || keeping.phase === 'drawing') {
    return <p className="cbmir-muted">{text[keeping.phase]}</p>;
  }
  return (
    <div className="cbmir-notice">
      <span>
        {keeping.phase === 'saved' ? text.saved : reason(keeping)}{' '}
        {keeping.phase === 'saved' && <OpenReport path={keeping.saved.report.viewerUrl} />}
      </span>
      <IconButton icon="close" cy="keep-dismiss" label={text.dismiss} onClick={() => service.keeper.dismiss()} />
    </div>
  );
}

function reason({ what, failure }: { what: 'saving' | 'drawing'; failure: Failure }): string {
  if (what === 'saving' && failure.kind === 'forbidden') return text.mayNotStore;
  return `${text.keepFailed[what]} ${failure.detail ?? ''}`.trim();
}

/** In a window of its own: the viewer that is open does not know of a series that came after it. */
function OpenReport({ path }: { path: string }) {
  const address = resolve(path, ROOT);
  return address ? (
    <a className="cbmir-link" href={address} target="_blank" rel="noreferrer" data-cy="cbmir-open-report">
      {text.openReport}
    </a>
  ) : null;
}
