/**
 * One search at a time: a new one, or leaving the study, aborts the one before, whose answer is then never shown.
 */
import type { CbmirClient } from './cbmirClient';
import { Failure } from './failure';
import { isOver } from './isOver';
import { readReports } from './reports';
import { priorsRequest, similarRequest } from './request';
import type { State } from './state';
import type { Store } from './store';
import type { CurrentImage } from './viewer/currentImage';
import type { Status } from './answer';

/** Between two looks at the index when the server names no time. */
const LOOK_AGAIN_S = 2;

export class Searcher {
  private running = new AbortController();

  constructor(
    private readonly store: Store<State>,
    private readonly client: CbmirClient,
  ) {}

  abort(): void {
    this.running.abort();
  }

  async search(query: CurrentImage): Promise<void> {
    this.abort();
    const { signal } = (this.running = new AbortController());
    this.store.set({ query, search: { phase: 'searching' }, priors: { phase: 'none' }, opened: null });
    const failure = await this.attempt(query, signal);
    if (failure) await this.watch(query, failure, signal);
  }

  /** Searches, shows the outcome, and returns what went wrong. */
  private async attempt(query: CurrentImage, signal: AbortSignal): Promise<Failure | null> {
    try {
      const answer = await this.client.similar(this.request(query), signal);
      if (isOver(signal)) return null;
      this.store.set({ search: { phase: 'found', answer } });
      void this.searchPriors(query, signal);
      void readReports(answer.cases, this.store, this.client, signal);
      return null;
    } catch (error) {
      if (isOver(signal)) return null;
      const failure = error instanceof Failure ? error : new Failure('unexpected');
      const { search } = this.store.get();
      const status = search.phase === 'failed' ? search.status : null;
      this.store.set({ search: { phase: 'failed', failure, status } });
      return failure;
    }
  }

  private request(query: CurrentImage) {
    const { options, refinement } = this.store.get();
    return similarRequest(query, options, refinement);
  }

  /** While the index is still being made, shows its progress and searches again by itself. */
  private async watch(query: CurrentImage, first: Failure, signal: AbortSignal): Promise<void> {
    let failure: Failure | null = first;
    while (failure?.kind === 'notIndexed' || failure?.kind === 'unavailable') {
      const status = await this.status(signal);
      if (isOver(signal)) return;
      this.store.set({ search: { phase: 'failed', failure, status } });
      if (!mayChange(status)) return;
      await pause(failure.retryAfter ?? LOOK_AGAIN_S, signal);
      if (isOver(signal)) return;
      failure = await this.attempt(query, signal);
    }
  }

  private async status(signal: AbortSignal): Promise<Status | null> {
    try {
      return await this.client.status(signal);
    } catch {
      return null;
    }
  }

  private async searchPriors(query: CurrentImage, signal: AbortSignal): Promise<void> {
    this.store.set({ priors: { phase: 'searching' } });
    try {
      const { cases } = await this.client.similar(priorsRequest(query), signal);
      if (isOver(signal)) return;
      const others = cases.filter((one) => one.StudyInstanceUID !== query.StudyInstanceUID);
      this.store.set({ priors: { phase: 'found', cases: others } });
    } catch {
      if (!isOver(signal)) this.store.set({ priors: { phase: 'failed' } });
    }
  }
}

/** Whether waiting makes sense: the plugin starts, or slices wait to be indexed. */
function mayChange(status: Status | null): boolean {
  return status !== null && status.state !== 'disabled' && (status.state === 'starting' || status.queued > 0);
}

function pause(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
