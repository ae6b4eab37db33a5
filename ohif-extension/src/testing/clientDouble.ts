/** A client whose answers a test gives when it wants. */
import type { SimilarAnswer, Status } from '../answer';
import type { CbmirClient, SimilarRequest } from '../cbmirClient';
import type { Failure } from '../failure';

interface Call {
  request: SimilarRequest;
  signal: AbortSignal;
  answer: (answer: SimilarAnswer) => void;
  fail: (failure: Failure) => void;
}

export class ClientDouble implements CbmirClient {
  readonly calls: Call[] = [];
  statusAnswer: Status | Failure = { state: 'running', reason: null, queued: 0, indexed: 10, etaSeconds: null };

  similar(request: SimilarRequest, signal: AbortSignal): Promise<SimilarAnswer> {
    return new Promise((answer, fail) => {
      this.calls.push({ request, signal, answer, fail });
      signal.addEventListener('abort', () => fail(new DOMException('aborted', 'AbortError')));
    });
  }

  status(): Promise<Status> {
    return this.statusAnswer instanceof Error ? Promise.reject(this.statusAnswer) : Promise.resolve(this.statusAnswer);
  }

  /** The newest call for similar cases, or for the patient's own with "only". */
  last(samePatient: 'exclude' | 'only' = 'exclude'): Call {
    const call = this.calls.filter(({ request }) => request.samePatient === samePatient).at(-1);
    if (!call) throw new Error('not called');
    return call;
  }
}

/** Lets everything that is due happen. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
