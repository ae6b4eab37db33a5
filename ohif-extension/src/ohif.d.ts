/**
 * What this extension uses of OHIF 3.12 to 3.14 and of cornerstone3D inside it. OHIF publishes no types, and nothing of
 * it can be imported by a module that is loaded at run time: all comes through the managers handed over.
 */
export interface Managers {
  servicesManager: ServicesManager;
  commandsManager: CommandsManager;
  extensionManager: ExtensionManager;
}

export interface ServicesManager {
  services: Services;
  registerService(registration: { name: string; create: (managers: Managers) => unknown }): void;
}

export interface CommandsManager {
  run(command: string, options?: Record<string, unknown>): unknown;
}

export interface ExtensionManager {
  getModuleEntry(id: string): { exports: { getCornerstoneLibraries(): CornerstoneLibraries } };
}

export interface CornerstoneLibraries {
  cornerstone: Cornerstone;
  cornerstoneTools: CornerstoneTools;
}

export interface Services {
  cornerstoneViewportService: CornerstoneViewportService;
  customizationService: { setCustomizations: (customizations: Record<string, unknown>) => void };
  displaySetService: { getDisplaySetsForSeries(SeriesInstanceUID: string): DisplaySet[] };
  panelService: {
    addPanel(side: 'left' | 'right', panelId: string): void;
    activatePanel(panelId: string, forceActive: boolean): void;
  };
  toolGroupService: { getActiveToolForViewport(viewportId: string): string | undefined };
  toolbarService: {
    register: (buttons: ToolbarButton[]) => void;
    updateSection: (section: string, buttonIds: string[]) => void;
  };
  viewportGridService: ViewportGridService;
}

export interface Subscription {
  unsubscribe(): void;
}

export interface ViewportGridService {
  EVENTS: { LAYOUT_CHANGED: string };
  getActiveViewportId(): string | null;
  getState(): GridState;
  setLayout(layout: GridLayout): Promise<void>;
  subscribe(event: string, listener: () => void): Subscription;
}

export interface GridState {
  activeViewportId: string | null;
  isHangingProtocolLayout: boolean;
  layout: { numRows: number; numCols: number };
  viewports: Map<string, GridViewport>;
}

export interface GridViewport {
  displaySetInstanceUIDs: string[];
  displaySetOptions: Record<string, unknown>[];
  viewportOptions: { viewportId: string } & Record<string, unknown>;
  positionId?: string;
  x?: number;
  y?: number;
  width?: number;
  height?: number;
}

export interface GridLayout {
  numRows: number;
  numCols: number;
  activeViewportId?: string;
  isHangingProtocolLayout: boolean;
  layoutOptions?: { x: number; y: number; width: number; height: number }[];
  findOrCreateViewport(position: number, positionId: string): GridViewport | undefined;
}

export interface CornerstoneViewportService {
  EVENTS: { VIEWPORT_DATA_CHANGED: string };
  getCornerstoneViewport(viewportId: string): Viewport | null | undefined;
  subscribe(event: string, listener: (event: { viewportId: string }) => unknown): Subscription;
}

export interface DisplaySet {
  displaySetInstanceUID: string;
  images?: { SOPInstanceUID: string }[];
  instances?: { SOPInstanceUID: string }[];
}

/** A cornerstone viewport; only those of type "stack" have the optional members. */
export interface Viewport {
  type: string;
  element: HTMLDivElement;
  getCurrentImageId?(): string | undefined;
  getCurrentImageIdIndex?(): number;
  getImageIds?(): string[];
  setImageIdIndex?(index: number): Promise<string>;
  /** The slice shown now as the viewport places it in space; undefined before it is loaded. */
  getImageData?(): PlacedImage | undefined;
  /** From mm to CSS pixels of the viewport's canvas. */
  worldToCanvas?(point: Point3): Point2;
}

export type Point2 = [number, number];
export type Point3 = [number, number, number];

export interface PlacedImage {
  /** Columns, rows, and 1. */
  dimensions: Point3;
  /** The middle of the first pixel has the index 0, 0, 0. */
  imageData: { indexToWorld(index: Point3): Point3; worldToIndex(point: Point3): Point3 };
}

export interface Cornerstone {
  Enums: { Events: { STACK_NEW_IMAGE: string; IMAGE_RENDERED: string } };
  eventTarget: EventTarget;
  metaData: { get(module: 'instance', imageId: string): Instance | undefined };
}

export interface CornerstoneTools {
  Enums: { Events: { ANNOTATION_COMPLETED: string } };
  annotation: { state: { getAllAnnotations(): Annotation[] } };
}

/** What a reader drew; `points` are in mm. */
export interface Annotation {
  metadata: { toolName: string; referencedImageId?: string };
  data: { handles?: { points?: Point3[] } };
  isVisible?: boolean;
}

/** DICOM attributes by keyword, naturalised as OHIF does. */
export interface Instance {
  SOPInstanceUID?: string;
  SeriesInstanceUID?: string;
  StudyInstanceUID?: string;
  Modality?: string;
  SeriesDescription?: string;
  InstanceNumber?: number | string;
  NumberOfFrames?: number | string;
  ImagePositionPatient?: number[];
  ImageOrientationPatient?: number[];
}

export interface ToolbarButton {
  id: string;
  uiType: string;
  props: { icon: string; label: string; tooltip: string; commands: string; evaluate: string };
}

export interface Panel {
  name: string;
  iconName: string;
  iconLabel: string;
  label: string;
  component: () => HostElement;
}

/** An element of the host's React. */
export interface HostElement {
  type: string;
  props: Record<string, unknown>;
  [more: string]: unknown;
}
