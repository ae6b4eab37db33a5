/** A client whose answers a test gives when it wants. */
import type { SimilarAnswer, Status } from '../answer';
import type { CbmirClient, Feedback, HeatRequest, Selection, SimilarRequest } from '../cbmirClient';
import type { HeatAnswer } from '../heatAnswer';
import type { Failure } from '../failure';
import type { Saved } from '../saved';
import { savedAnswer } from './answers';

interface Call {
  request: SimilarRequest;
  signal: AbortSignal;
  answer: (answer: SimilarAnswer) => void;
  fail: (failure: Failure) => void;
}

interface HeatCall {
  request: HeatRequest;
  signal: AbortSignal;
  answer: (answer: HeatAnswer) => void;
  fail: (failure: Failure) => void;
}

export class ClientDouble implements CbmirClient {
  readonly calls: Call[] = [];
  readonly heatCalls: HeatCall[] = [];
  readonly said: Feedback[] = [];
  readonly reportCalls: string[] = [];
  /** Lines by address; any other fails. */
  reports: Record<string, string[]> = {};
  keepsFeedback = true;
  readonly saves: Selection[] = [];
  saved: Saved | Failure = savedAnswer();
  statusAnswer: Status | Failure = { state: 'running', reason: null, queued: 0, indexed: 10, etaSeconds: null };

  similar(request: SimilarRequest, signal: AbortSignal): Promise<SimilarAnswer> {
    return new Promise((answer, fail) => {
      this.calls.push({ request, signal, answer, fail });
      signal.addEventListener('abort', () => fail(new DOMException('aborted', 'AbortError')));
    });
  }

  heat(request: HeatRequest, signal: AbortSignal): Promise<HeatAnswer> {
    return new Promise((answer, fail) => {
      this.heatCalls.push({ request, signal, answer, fail });
      signal.addEventListener('abort', () => fail(new DOMException('aborted', 'AbortError')));
    });
  }

  report(path: string): Promise<string[]> {
    const asked = this.reportCalls.push(path);
    const lines = this.reports[path];
    return lines ? Promise.resolve(lines) : Promise.reject(new Error(`no report ${asked}`));
  }

  feedback(said: Feedback): Promise<void> {
    this.said.push(said);
    return this.keepsFeedback ? Promise.resolve() : Promise.reject(new Error('not kept'));
  }

  save(selection: Selection): Promise<Saved> {
    this.saves.push(selection);
    return this.saved instanceof Error ? Promise.reject(this.saved) : Promise.resolve(this.saved);
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
