/** OHIF as far as this extension uses it: a grid of stack viewports over series that are there or can be loaded. */
import { vi } from 'vitest';

import type { Annotation, DisplaySet, GridLayout, GridState, Instance, Managers, Point3, Viewport } from '../ohif';

const NEW_IMAGE = 'STACK_NEW_IMAGE';
const RENDERED = 'IMAGE_RENDERED';
const DRAWN = 'ANNOTATION_COMPLETED';

/** Every slice has 40 columns of 0.5 mm and 20 rows of 2 mm; the first pixel's middle lies at 10, 20, 0. */
export const PICTURE = { columns: 40, rows: 20, spacing: [0.5, 2], origin: [10, 20] } as const;

/** A series of `n` slices, 5 mm apart unless said otherwise. */
export function series(SeriesInstanceUID: string, n: number, spacing = 5): Instance[] {
  return Array.from({ length: n }, (_, index) => ({
    SOPInstanceUID: `${SeriesInstanceUID}.${index + 1}`,
    SeriesInstanceUID,
    StudyInstanceUID: SeriesInstanceUID.replace(/\.\d+$/, ''),
    Modality: 'MR',
    SeriesDescription: 'T1 SE TRA +C',
    InstanceNumber: index + 1,
    ImagePositionPatient: [0, 0, index * spacing],
    ImageOrientationPatient: [1, 0, 0, 0, 1, 0],
  }));
}

class Emitter {
  private readonly listeners = new Map<string, Set<(event: never) => void>>();

  subscribe = (event: string, listener: (event: never) => void) => {
    const listeners = this.listeners.get(event) ?? new Set();
    this.listeners.set(event, listeners.add(listener));
    return { unsubscribe: () => void listeners.delete(listener) };
  };

  emit(event: string, detail: unknown): void {
    for (const listener of this.listeners.get(event) ?? []) listener(detail as never);
  }

  get size(): number {
    return [...this.listeners.values()].reduce((sum, set) => sum + set.size, 0);
  }
}

export class ViewerDouble {
  readonly viewports = new Map<string, Required<Viewport>>();
  readonly loadable = new Map<string, Instance[]>();
  readonly events = new Emitter();
  readonly layouts: GridLayout[] = [];
  readonly panels: string[] = [];
  readonly activated: string[] = [];
  readonly commands: string[] = [];
  readonly annotations: Annotation[] = [];
  tool = 'WindowLevel';
  /** How a viewport shows its slice: CSS pixels per mm, and where 0, 0 is. */
  readonly camera = { zoom: 4, pan: [0, 0] };
  private readonly eventTarget = new EventTarget();
  private readonly loaded = new Map<string, Instance[]>();
  /** Where the reader was last in each series: the grid goes back there whenever it is shown. */
  private readonly lastSeen = new Map<string, number>();
  private grid: GridState = {
    activeViewportId: 'default',
    isHangingProtocolLayout: true,
    layout: { numRows: 1, numCols: 1 },
    viewports: new Map(),
  };

  constructor(...shown: Instance[]) {
    const uid = this.load(shown);
    this.layout({
      numRows: 1,
      numCols: 1,
      activeViewportId: 'default',
      isHangingProtocolLayout: true,
      findOrCreateViewport: () => ({
        displaySetInstanceUIDs: [uid],
        displaySetOptions: [{}],
        viewportOptions: { viewportId: 'default' },
      }),
    });
  }

  readonly managers: Managers = {
    commandsManager: { run: (command, options) => this.run(command, options) },
    extensionManager: {
      getModuleEntry: () => ({ exports: { getCornerstoneLibraries: () => this.libraries() } }),
    },
    servicesManager: {
      registerService: ({ name, create }) =>
        Object.assign(this.managers.servicesManager.services, { [name]: create(this.managers) }),
      services: {
        cornerstoneViewportService: {
          EVENTS: { VIEWPORT_DATA_CHANGED: 'data' },
          getCornerstoneViewport: (viewportId) => this.viewports.get(viewportId),
          subscribe: this.events.subscribe,
        },
        customizationService: { setCustomizations: vi.fn() },
        displaySetService: { getDisplaySetsForSeries: (uid) => this.displaySets(uid) },
        panelService: {
          addPanel: (_side, panelId) => void this.panels.push(panelId),
          activatePanel: (panelId) => void this.activated.push(panelId),
        },
        toolGroupService: { getActiveToolForViewport: () => this.tool },
        toolbarService: { register: vi.fn(), updateSection: vi.fn() },
        viewportGridService: {
          EVENTS: { LAYOUT_CHANGED: 'layout' },
          getActiveViewportId: () => this.grid.activeViewportId,
          getState: () => this.grid,
          setLayout: (layout) => {
            this.layout(layout);
            return Promise.resolve();
          },
          subscribe: this.events.subscribe,
        },
      },
    },
  };

  /** The reader scrolls. */
  scroll(viewportId: string, index: number): void {
    void this.viewports.get(viewportId)?.setImageIdIndex(index);
  }

  /** SOPInstanceUID by viewport id. */
  shown(): Record<string, string | undefined> {
    return Object.fromEntries(
      [...this.viewports].map(([id, viewport]) => [id, this.instance(viewport.getCurrentImageId())?.SOPInstanceUID]),
    );
  }

  /** The reader draws from one corner to the other, in mm. */
  draw(viewportId: string, from: [number, number], to: [number, number], toolName = 'RectangleROI'): void {
    const points: Point3[] = [
      [...from, 0],
      [to[0], from[1], 0],
      [from[0], to[1], 0],
      [...to, 0],
    ];
    const imageId = this.viewports.get(viewportId)?.getCurrentImageId();
    const annotation: Annotation = {
      metadata: { toolName, ...(imageId && { referencedImageId: imageId }) },
      data: { handles: { points } },
    };
    this.annotations.push(annotation);
    this.eventTarget.dispatchEvent(new CustomEvent(DRAWN, { detail: { annotation } }));
  }

  /** The reader zooms, pans, or anything else that draws the slices anew. */
  render(): void {
    for (const { element } of this.viewports.values()) element.dispatchEvent(new Event(RENDERED));
  }

  private libraries() {
    return {
      cornerstone: {
        Enums: { Events: { STACK_NEW_IMAGE: NEW_IMAGE, IMAGE_RENDERED: RENDERED } },
        eventTarget: this.eventTarget,
        metaData: { get: (_: 'instance', imageId: string) => this.instance(imageId) },
      },
      cornerstoneTools: {
        Enums: { Events: { ANNOTATION_COMPLETED: DRAWN } },
        annotation: { state: { getAllAnnotations: () => this.annotations } },
      },
    };
  }

  private instance(imageId: string | undefined): Instance | undefined {
    const uid = /instances\/([^/]+)/.exec(imageId ?? '')?.[1];
    return [...this.loaded.values()].flat().find(({ SOPInstanceUID }) => SOPInstanceUID === uid);
  }

  private load(instances: Instance[]): string {
    const uid = `display set of ${instances[0]?.SeriesInstanceUID}`;
    this.loaded.set(uid, instances);
    return uid;
  }

  private run(command: string, options: Record<string, unknown> = {}): Promise<void> {
    this.commands.push(command);
    if (command === 'setToolActiveToolbar') {
      this.tool = String(options.toolName);
      return Promise.resolve();
    }
    const instances = this.loadable.get(String(options.StudyInstanceUID));
    if (!instances) return Promise.reject(new Error('404'));
    this.load(instances);
    return Promise.resolve();
  }

  private displaySets(SeriesInstanceUID: string): DisplaySet[] {
    return [...this.loaded]
      .filter(([, instances]) => instances[0]?.SeriesInstanceUID === SeriesInstanceUID)
      .map(([displaySetInstanceUID, images]) => ({
        displaySetInstanceUID,
        images: images as { SOPInstanceUID: string }[],
      }));
  }

  /** Viewports whose id and series stay are kept, others are mounted a moment later, which raises an event. */
  private layout(layout: GridLayout): void {
    this.layouts.push(layout);
    const { numRows, numCols, activeViewportId = null, isHangingProtocolLayout } = layout;
    const before = this.grid.viewports;
    const viewports: GridState['viewports'] = new Map();
    for (let position = 0; position < numRows * numCols; position++) {
      const viewport = layout.findOrCreateViewport(position, `${position % numCols}-${Math.floor(position / numCols)}`);
      if (viewport) viewports.set(viewport.viewportOptions.viewportId, viewport);
    }
    this.grid = { activeViewportId, isHangingProtocolLayout, layout: { numRows, numCols }, viewports };
    for (const viewportId of [...this.viewports.keys()]) {
      if (!viewports.has(viewportId)) this.viewports.delete(viewportId);
    }
    for (const [viewportId, { displaySetInstanceUIDs }] of viewports) {
      if (before.get(viewportId)?.displaySetInstanceUIDs[0] !== displaySetInstanceUIDs[0]) {
        this.mount(viewportId, displaySetInstanceUIDs[0] ?? '');
      }
    }
    this.events.emit('layout', {});
  }

  private mount(viewportId: string, uid: string): void {
    this.viewports.delete(viewportId);
    const imageIds = (this.loaded.get(uid) ?? []).map((one) => `wadors:/instances/${one.SOPInstanceUID}/frames/1`);
    const element = document.createElement('div');
    const viewport: Required<Viewport> = {
      type: 'stack',
      element,
      getImageIds: () => imageIds,
      getCurrentImageIdIndex: () => this.lastSeen.get(uid) ?? 0,
      getCurrentImageId: () => imageIds[this.lastSeen.get(uid) ?? 0],
      setImageIdIndex: (index) => {
        this.lastSeen.set(uid, index);
        element.dispatchEvent(new Event(NEW_IMAGE));
        element.dispatchEvent(new Event(RENDERED));
        return Promise.resolve('');
      },
      getImageData: () => ({ dimensions: [PICTURE.columns, PICTURE.rows, 1], imageData: placed }),
      worldToCanvas: ([x, y]) => [
        x * this.camera.zoom + (this.camera.pan[0] ?? 0),
        y * this.camera.zoom + (this.camera.pan[1] ?? 0),
      ],
    };
    const mounted = () => {
      this.viewports.set(viewportId, viewport);
      this.events.emit('data', { viewportId });
    };
    if (this.layouts.length === 1) mounted();
    else setTimeout(mounted, 0);
  }
}

const [[across, down], [left, top]] = [PICTURE.spacing, PICTURE.origin];

const placed = {
  indexToWorld: ([i, j]: Point3): Point3 => [left + i * across, top + j * down, 0],
  worldToIndex: ([x, y]: Point3): Point3 => [(x - left) / across, (y - top) / down, 0],
};
