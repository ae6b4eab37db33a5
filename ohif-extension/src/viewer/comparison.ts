/** Query on the left, a similar slice on the right, and back to the layout before. */
import type { DisplaySet, GridViewport, Managers, Subscription } from '../ohif';
import { setCaption } from './caption';
import type { CurrentImage } from './currentImage';
import type { SliceName } from './imageId';
import { jump } from './jump';
import { restoreLayout, saveLayout, type SavedLayout } from './layout';
import { linkScrolling, type Pairs } from './linkedScrolling';

export const LEFT = 'cbmir-query';
export const RIGHT = 'cbmir-hit';

const LOADED_WITHIN_MS = 15_000;
const LOOK_AGAIN_MS = 50;

/** A slice, and where in the archive it is. */
export interface PlacedSlice extends SliceName {
  SeriesInstanceUID: string;
  StudyInstanceUID: string;
}

/** The archive does not have the slice any more, or does not show it to this reader. */
export class SliceGone extends Error {}

export class Comparison {
  private before: SavedLayout | null = null;
  private unlink: () => void = () => undefined;
  private pairs: Pairs = [];
  private mounted: Subscription | null = null;
  /** The newest call of open or close; an older one that wakes up later must not touch the screen. */
  private turn = 0;

  constructor(
    private readonly managers: Managers,
    private linked: boolean,
  ) {}

  /** Whether the hit's viewport is on screen. */
  get isOpen(): boolean {
    return this.grid.getState().viewports.has(RIGHT);
  }

  /**
   * @param captions  what to write into the left and the right viewport
   * @param pairs  slices to scroll to together; by their positions where there are none
   * @throws SliceGone
   */
  async open(
    query: CurrentImage,
    slice: PlacedSlice,
    captions: readonly [string, string],
    pairs: Pairs = [],
  ): Promise<void> {
    const turn = ++this.turn;
    const displaySet = await this.load(slice);
    if (turn !== this.turn) return;
    this.undress();
    const [left, right] = [query.displaySetInstanceUIDs, [displaySet.displaySetInstanceUID]];
    const shown = [
      jump(this.managers, LEFT, query, this.shows(LEFT, left)),
      jump(this.managers, RIGHT, slice, this.shows(RIGHT, right)),
    ];
    await this.show(left, right);
    await Promise.all(shown);
    if (turn !== this.turn) return;
    this.pairs = pairs;
    this.dress(captions);
  }

  async close(): Promise<void> {
    this.turn++;
    this.undress();
    const { before } = this;
    this.before = null;
    if (before && this.isOpen) await restoreLayout(this.managers, before);
  }

  /** The study is left: the layout before belongs to it. */
  forget(): void {
    this.turn++;
    this.undress();
    this.before = null;
  }

  /** From the slices shown at this moment. */
  setLinked(linked: boolean): void {
    this.linked = linked;
    this.relink();
  }

  private get grid() {
    return this.managers.servicesManager.services.viewportGridService;
  }

  /** Captions and link, again whenever a half is mounted anew: they go with it, as when the other one is enlarged. */
  private dress(captions: readonly [string, string]): void {
    const { cornerstoneViewportService } = this.managers.servicesManager.services;
    const put = () => {
      setCaption(this.managers, LEFT, captions[0]);
      setCaption(this.managers, RIGHT, captions[1]);
      this.relink();
    };
    this.mounted = cornerstoneViewportService.subscribe(
      cornerstoneViewportService.EVENTS.VIEWPORT_DATA_CHANGED,
      ({ viewportId }) => [LEFT, RIGHT].includes(viewportId) && put(),
    );
    put();
  }

  private undress(): void {
    this.mounted?.unsubscribe();
    this.mounted = null;
    this.unlink();
  }

  private relink(): void {
    this.unlink();
    this.unlink = this.linked && this.isOpen ? linkScrolling(this.managers, LEFT, RIGHT, this.pairs) : () => undefined;
  }

  private async load(slice: PlacedSlice): Promise<DisplaySet> {
    const { displaySetService } = this.managers.servicesManager.services;
    const find = () =>
      displaySetService
        .getDisplaySetsForSeries(slice.SeriesInstanceUID)
        .find((set) => (set.images ?? set.instances)?.some((i) => i.SOPInstanceUID === slice.SOPInstanceUID));
    const loaded = find();
    if (loaded) return loaded;
    try {
      await this.managers.commandsManager.run('loadStudy', { StudyInstanceUID: slice.StudyInstanceUID });
    } catch {
      throw new SliceGone();
    }
    return until(find);
  }

  private async show(left: string[], right: string[]): Promise<void> {
    if (!this.ownsGrid()) this.before = saveLayout(this.managers);
    await this.grid.setLayout({
      numRows: 1,
      numCols: 2,
      activeViewportId: LEFT,
      isHangingProtocolLayout: false,
      findOrCreateViewport: (position) => (position === 0 ? cell(LEFT, left) : cell(RIGHT, right)),
    });
  }

  /** Also true where the reader enlarged one half of the comparison: the layout before is still the one to go back to. */
  private ownsGrid(): boolean {
    const { viewports } = this.grid.getState();
    return this.before !== null && (viewports.has(LEFT) || viewports.has(RIGHT));
  }

  private shows(viewportId: string, displaySetInstanceUIDs: string[]): boolean {
    const viewport = this.grid.getState().viewports.get(viewportId);
    return viewport?.displaySetInstanceUIDs[0] === displaySetInstanceUIDs[0];
  }
}

function cell(viewportId: string, displaySetInstanceUIDs: string[]): GridViewport {
  return {
    displaySetInstanceUIDs,
    displaySetOptions: [{}],
    viewportOptions: { viewportId, viewportType: 'stack', toolGroupId: 'default' },
  };
}

/** Display sets appear some time after a study is loaded, without an event that names the series. */
async function until<T>(find: () => T | undefined): Promise<T> {
  for (const end = Date.now() + LOADED_WITHIN_MS; Date.now() < end;) {
    const found = find();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
  throw new SliceGone();
}
