/** Thumbs up or down on a hit: kept by the plugin, and used to refine the search. */
import type { SliceAnswer } from './answer';
import type { CbmirClient } from './cbmirClient';
import { marked, type Verdict } from './marks';
import type { State } from './state';
import type { Store } from './store';

export class FeedbackDesk {
  constructor(
    private readonly store: Store<State>,
    private readonly client: CbmirClient,
  ) {}

  /** Takes a verdict, or takes one back (null). It counts for refining even where it could not be kept. */
  async mark(slice: SliceAnswer, verdict: Verdict | null): Promise<void> {
    const { search, query, marks } = this.store.get();
    if (search.phase !== 'found') return;
    const asked = search.answer.query;
    this.store.set({ marks: marked(marks, slice, verdict) });
    const { orthancId: hit, frame: hitFrame } = slice;
    try {
      await this.client.feedback({ query: asked.orthancId, queryFrame: asked.frame, hit, hitFrame, verdict });
    } catch {
      // Said only beside the query that it belongs to.
      if (this.store.get().query === query) this.store.set({ notice: verdict ? 'notKept' : 'notTakenBack' });
    }
  }
}
