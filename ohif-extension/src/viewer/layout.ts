/** Remember the layout before a comparison and bring it back, each viewport at its slice. */
import type { GridState, GridViewport, Managers } from '../ohif';
import { cornerstoneOf, stackViewport } from './host';
import { frameOf, type SliceName } from './imageId';
import { jump } from './jump';

export interface SavedLayout {
  grid: GridState;
  /** Slice by viewport id. */
  slices: Map<string, SliceName>;
}

export function saveLayout(managers: Managers): SavedLayout {
  const grid = managers.servicesManager.services.viewportGridService.getState();
  const slices = new Map<string, SliceName>();
  const viewports = new Map<string, GridViewport>();
  for (const [viewportId, viewport] of grid.viewports) {
    const slice = sliceIn(managers, viewportId);
    if (slice) slices.set(viewportId, slice);
    // A copy: the grid writes into the objects that it is given.
    viewports.set(viewportId, { ...viewport, viewportOptions: { ...viewport.viewportOptions } });
  }
  return { grid: { ...grid, viewports }, slices };
}

export async function restoreLayout(managers: Managers, { grid, slices }: SavedLayout): Promise<void> {
  const cells = [...grid.viewports.values()];
  const shown = [...slices].map(([viewportId, slice]) => jump(managers, viewportId, slice, false));
  await managers.servicesManager.services.viewportGridService.setLayout({
    numRows: grid.layout.numRows,
    numCols: grid.layout.numCols,
    ...(grid.activeViewportId === null ? {} : { activeViewportId: grid.activeViewportId }),
    isHangingProtocolLayout: grid.isHangingProtocolLayout,
    layoutOptions: cells.map(({ x = 0, y = 0, width = 1, height = 1 }) => ({ x, y, width, height })),
    findOrCreateViewport: (position) => cells[position],
  });
  await Promise.all(shown);
}

function sliceIn(managers: Managers, viewportId: string): SliceName | null {
  const imageId = stackViewport(managers, viewportId)?.getCurrentImageId();
  const instance = imageId && cornerstoneOf(managers).metaData.get('instance', imageId);
  return instance && instance.SOPInstanceUID
    ? { SOPInstanceUID: instance.SOPInstanceUID, frame: frameOf(imageId) }
    : null;
}
