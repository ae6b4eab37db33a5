/** "Why similar": where in two compared slices their similarity comes from, laid over both. */
import type { CbmirClient } from './cbmirClient';
import { Failure } from './failure';
import type { HeatAnswer } from './heatAnswer';
import { isOver } from './isOver';
import type { Managers, Subscription } from './ohif';
import { heatRequest, type SliceRef } from './request';
import { NO_HEAT, type State } from './state';
import type { Store } from './store';
import { LEFT, RIGHT } from './viewer/comparison';
import type { CurrentImage } from './viewer/currentImage';
import { paint, scaleOf } from './viewer/heatColours';
import type { SliceName } from './viewer/imageId';
import { layOver } from './viewer/overlay';

interface Pair {
  query: CurrentImage;
  slice: SliceRef & SliceName;
}

export class HeatMaps {
  private readonly answers = new Map<string, HeatAnswer>();
  private running = new AbortController();
  private pair: Pair | null = null;
  private shown: HeatAnswer | null = null;
  private overlays: { canvas: HTMLCanvasElement; remove: () => void }[] = [];
  private mounted: Subscription | null = null;

  constructor(
    private readonly managers: Managers,
    private readonly store: Store<State>,
    private readonly client: CbmirClient,
  ) {}

  /** Another pair is compared, or none. */
  compare(pair: Pair | null): void {
    this.pair = pair;
    if (this.isOn) void this.show();
  }

  setOn(on: boolean): void {
    if (on) void this.show();
    else this.end();
  }

  setOpacity(heatOpacity: number): void {
    this.store.set({ heatOpacity });
    for (const { canvas } of this.overlays) canvas.style.opacity = String(heatOpacity);
  }

  /** No heat map until it is asked for again. */
  end(): void {
    this.running.abort();
    this.mounted?.unsubscribe();
    this.mounted = null;
    this.remove();
    this.shown = null;
    this.store.set({ heat: NO_HEAT.heat });
  }

  /** The study is left: its answers are not kept. */
  forget(): void {
    this.end();
    this.pair = null;
    this.answers.clear();
  }

  /** The grid has changed: viewports may have come or gone. */
  relay(): void {
    this.remove();
    if (!this.shown || !this.pair || !this.store.get().comparing) return;
    const { query, slice } = this.pair;
    const scale = scaleOf(this.shown);
    this.layOver(LEFT, query, paint(this.shown.query, scale));
    this.layOver(RIGHT, slice, paint(this.shown.against, scale));
  }

  private get isOn(): boolean {
    return this.store.get().heat.phase !== 'off';
  }

  private async show(): Promise<void> {
    this.running.abort();
    const { signal } = (this.running = new AbortController());
    this.remove();
    this.shown = null;
    if (!this.pair) return;
    this.store.set({ heat: { phase: 'searching' } });
    try {
      const answer = await this.ask(this.pair, signal);
      if (isOver(signal)) return;
      this.shown = answer;
      this.watch();
      this.relay();
      this.store.set({ heat: { phase: 'shown', similarity: answer.similarity } });
    } catch (error) {
      if (isOver(signal)) return;
      const failure = error instanceof Failure ? error : new Failure('unexpected');
      this.store.set({ heat: { phase: 'failed', failure } });
    }
  }

  private async ask({ query, slice }: Pair, signal: AbortSignal): Promise<HeatAnswer> {
    const request = heatRequest(query, slice);
    const key = JSON.stringify(request);
    const known = this.answers.get(key);
    if (known) return known;
    const answer = await this.client.heat(request, signal);
    this.answers.set(key, answer);
    return answer;
  }

  /** A viewport that is mounted anew has lost its overlay. */
  private watch(): void {
    const { cornerstoneViewportService } = this.managers.servicesManager.services;
    this.mounted ??= cornerstoneViewportService.subscribe(
      cornerstoneViewportService.EVENTS.VIEWPORT_DATA_CHANGED,
      ({ viewportId }) => {
        if (viewportId === LEFT || viewportId === RIGHT) this.relay();
      },
    );
  }

  private layOver(viewportId: string, slice: SliceName, canvas: HTMLCanvasElement | null): void {
    if (!canvas) return;
    canvas.style.opacity = String(this.store.get().heatOpacity);
    this.overlays.push({ canvas, remove: layOver(this.managers, viewportId, slice, canvas) });
  }

  private remove(): void {
    for (const { remove } of this.overlays) remove();
    this.overlays = [];
  }
}
