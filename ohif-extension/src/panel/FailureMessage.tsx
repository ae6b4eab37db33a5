import type { Status } from '../answer';
import type { Failure, FailureKind } from '../failure';
import { text } from '../text';
import { useService } from '../useSimilarCases';
import type { IconName } from './Icon';
import { Message } from './Message';

const ICONS: Record<FailureKind, IconName> = {
  unsupported: 'empty',
  unauthorised: 'lock',
  forbidden: 'lock',
  notIndexed: 'wait',
  unavailable: 'wait',
  timeout: 'wait',
  unreachable: 'warning',
  unexpected: 'warning',
};

/** Why there is no answer, and what can be done. */
export function FailureMessage({ failure, status }: { failure: Failure; status: Status | null }) {
  const service = useService();
  const { title, body } = words(failure.kind, status);
  const detail = failure.detail ?? (failure.kind === 'unavailable' ? status?.reason : null);
  return (
    <Message icon={ICONS[failure.kind]} title={title} body={body} detail={detail} name={failure.kind}>
      {status && status.queued > 0 && <Progress status={status} />}
      <button type="button" className="cbmir-button" data-cy="cbmir-retry" onClick={() => service.retry()}>
        {text.retry}
      </button>
    </Message>
  );
}

function words(kind: FailureKind, status: Status | null) {
  if (kind === 'unavailable' && status?.state === 'starting') return text.starting;
  if (kind === 'unavailable' && status?.state === 'disabled') return text.disabled;
  return text.failures[kind];
}

/** How far indexing is; it goes on by itself. */
function Progress({ status: { queued, indexed, etaSeconds } }: { status: Status }) {
  const eta = etaSeconds === null ? '' : `, ${text.eta(etaSeconds)}`;
  return (
    <div className="cbmir-progress">
      <progress value={indexed} max={indexed + queued} aria-label={text.indexing(queued)} />
      <span>
        {text.indexing(queued)}
        {eta}
      </span>
    </div>
  );
}
