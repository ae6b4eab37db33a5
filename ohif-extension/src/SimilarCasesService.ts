/**
 * What the reader can do, and the state it leads to. Registered as a service of OHIF, so that results outlive the panel,
 * which is unmounted whenever another tab is chosen.
 */
import type { AnyCase, SliceAnswer } from './answer';
import { cbmirClient, type CbmirClient } from './cbmirClient';
import { Failure } from './failure';
import { FeedbackDesk } from './feedback';
import { HeatMaps } from './heat';
import { Keeper } from './keeper';
import { refinementBy, type Verdict } from './marks';
import type { Managers } from './ohif';
import { DEFAULTS, recall, remember, type Options } from './options';
import { rootOf } from './orthanc';
import { Searcher } from './search';
import { captions, sidesOfCase, sidesOfSlice, type Sides } from './sides';
import { holds, NO_HEAT, NOTHING_SEARCHED, rowOf, sliceKey, type State } from './state';
import { Store } from './store';
import { Comparison, SliceGone } from './viewer/comparison';
import { currentImage, type CurrentImage } from './viewer/currentImage';
import { currentRegion } from './viewer/region';
import { RegionDrawing } from './viewer/regionDrawing';

export class SimilarCasesService {
  static readonly REGISTRATION = {
    name: 'similarCasesService',
    create: (managers: Managers) => new SimilarCasesService(managers, cbmirClient(rootOf(import.meta.url))),
  };

  private readonly store = new Store<State>({ ...NOTHING_SEARCHED, ...NO_HEAT, options: recall(), comparing: false });
  private readonly searcher: Searcher;
  private readonly comparison: Comparison;
  private readonly drawing: RegionDrawing;
  private readonly feedback: FeedbackDesk;
  readonly heat: HeatMaps;
  readonly keeper: Keeper;

  constructor(
    private readonly managers: Managers,
    client: CbmirClient,
  ) {
    this.searcher = new Searcher(this.store, client);
    this.comparison = new Comparison(managers, this.store.get().options.linkedScrolling);
    this.drawing = new RegionDrawing(managers);
    this.feedback = new FeedbackDesk(this.store, client);
    this.heat = new HeatMaps(managers, this.store, client);
    this.keeper = new Keeper(this.store, client);
  }

  readonly getState = () => this.store.get();
  readonly subscribe = (listener: () => void) => this.store.subscribe(listener);

  /** Search with the slice in the active viewport. */
  findSimilar(): void {
    this.begin(currentImage(this.managers));
  }

  /** Search with the rectangle on the slice in the active viewport; where there is none, the reader may draw one. */
  findSimilarToRegion(): void {
    const query = currentImage(this.managers);
    const region = currentRegion(this.managers);
    if (!query) {
      this.begin(null);
    } else if (region) {
      this.begin({ ...query, region });
    } else {
      this.store.set({ notice: 'drawRegion' });
      this.drawing.start(() => this.findSimilarToRegion());
    }
  }

  /** Search with all of the slice that was searched with, or of its series or study. */
  findSimilarToWhole(scope: 'slice' | 'series' | 'study' = 'slice'): void {
    const { query } = this.store.get();
    if (!query) return;
    const whole = { ...query };
    delete whole.region;
    delete whole.scope;
    this.begin(scope === 'slice' ? whole : { ...whole, scope });
  }

  private begin(query: CurrentImage | null): void {
    this.drawing.cancel();
    const { query: before, marks } = this.store.get();
    const isSameSlice = query?.SOPInstanceUID === before?.SOPInstanceUID && query?.frame === before?.frame;
    this.store.set({ notice: null, refinement: null, marks: isSameSlice ? marks : [] });
    if (query) {
      void this.searcher.search(query);
    } else {
      this.searcher.abort();
      const failure = new Failure('unsupported');
      this.store.set({ ...NOTHING_SEARCHED, search: { phase: 'failed', failure, status: null } });
    }
  }

  /** Search again with the same slice. */
  retry(): void {
    const { query } = this.store.get();
    if (query) void this.searcher.search(query);
    else this.findSimilar();
  }

  setOptions(change: Partial<Options>): void {
    const options = { ...this.store.get().options, ...change };
    remember(options);
    this.store.set({ options });
    if (this.store.get().query) this.retry();
  }

  resetFilters(): void {
    const { k, group, linkedScrolling, verifiedOnly } = this.store.get().options;
    this.setOptions({ ...DEFAULTS, k, group, linkedScrolling, verifiedOnly });
  }

  /** What the reader says of a hit; null takes it back. */
  mark(slice: SliceAnswer, verdict: Verdict | null): void {
    void this.feedback.mark(slice, verdict);
  }

  /** Rank again, nearer to what was marked as similar and further from what was marked as different. */
  refine(): void {
    this.store.set({ refinement: refinementBy(this.store.get().marks) });
    this.retry();
  }

  /** Back to the ranking by the query alone. */
  unrefine(): void {
    this.store.set({ refinement: null });
    this.retry();
  }

  setLinkedScrolling(linkedScrolling: boolean): void {
    const options = { ...this.store.get().options, linkedScrolling };
    remember(options);
    this.store.set({ options });
    this.comparison.setLinked(linkedScrolling);
  }

  /** Show a case beside the query. */
  async openCase(one: AnyCase): Promise<void> {
    await this.compare(sidesOfCase(this.managers, this.store.get(), one));
  }

  /** Show a slice beside the query. */
  async open(slice: SliceAnswer): Promise<void> {
    await this.compare(sidesOfSlice(this.managers, this.store.get(), slice));
  }

  private async compare(sides: Sides | null): Promise<void> {
    if (!sides) return;
    const { left, right, pairs } = sides;
    const key = sliceKey(right);
    this.store.set({ opened: key, notice: null });
    this.heat.compare({ query: left, slice: right });
    try {
      await this.comparison.open(left, right, captions(this.store.get(), sides), pairs);
      this.layoutChanged();
    } catch (error) {
      if (!(error instanceof SliceGone)) throw error;
      if (this.store.get().opened !== key) return;
      this.retry();
      this.store.set({ notice: 'sliceGone' });
    }
  }

  /** The next (1) or previous (-1) case; the first one where none is open. */
  step(by: 1 | -1): void {
    const state = this.store.get();
    const row = rowOf(state);
    const at = row.findIndex((one) => holds(one, state.opened));
    const one = row[at < 0 ? 0 : at + by];
    if (one) void this.openCase(one);
  }

  async closeComparison(): Promise<void> {
    this.store.set({ opened: null });
    this.heat.end();
    await this.comparison.close();
    this.layoutChanged();
  }

  dismissNotice(): void {
    this.drawing.cancel();
    this.store.set({ notice: null });
  }

  layoutChanged(): void {
    const comparing = this.comparison.isOpen;
    if (comparing !== this.store.get().comparing) this.store.set({ comparing });
    this.heat.relay();
  }

  /** The study is left: nothing of one patient may be seen beside the next. */
  leave(): void {
    this.searcher.abort();
    this.comparison.forget();
    this.drawing.cancel();
    this.heat.forget();
    this.store.set({ ...NOTHING_SEARCHED, comparing: false });
  }
}
