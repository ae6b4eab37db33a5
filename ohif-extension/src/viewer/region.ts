/** The part of a slice that the reader marked with a rectangle: a query of its own. */
import type { Annotation, Managers, Point2 } from '../ohif';
import { cornerstoneToolsOf, stackViewport, type StackViewport } from './host';
import { pictureSize, toCanvas, toPicture, type Size } from './picture';

export const RECTANGLE = 'RectangleROI';

/** A box on the stored picture, in its pixels. */
export interface Region {
  x: number;
  y: number;
  width: number;
  height: number;
  /** Its corners on the picture of the query in the panel, as shares of that picture's side. */
  outline: Point2[];
}

/** The newest rectangle on the slice in the active viewport; null where there is none. */
export function currentRegion(managers: Managers): Region | null {
  const { viewportGridService } = managers.servicesManager.services;
  const viewportId = viewportGridService.getActiveViewportId();
  const viewport = viewportId === null ? null : stackViewport(managers, viewportId);
  const size = viewport && pictureSize(viewport);
  if (!viewport || !size) return null;
  const imageId = viewport.getCurrentImageId();
  const drawn = cornerstoneToolsOf(managers)
    .annotation.state.getAllAnnotations()
    .filter((one) => isShown(one) && one.metadata.referencedImageId === imageId);
  return drawn.reduceRight<Region | null>((found, one) => found ?? regionOf(one, viewport, size), null);
}

/** As the plugin reads it: x,y,width,height. */
export function roi({ x, y, width, height }: Region): string {
  return [x, y, width, height].map(tenth).join(',');
}

function isShown({ metadata, isVisible }: Annotation): boolean {
  return metadata.toolName === RECTANGLE && isVisible !== false;
}

/** The smallest box around the rectangle, which is not upright where the viewport is turned; null if it is a mere click. */
function regionOf({ data }: Annotation, viewport: StackViewport, size: Size): Region | null {
  const corners = (data.handles?.points ?? []).map((point) => toPicture(viewport, point));
  const [left, right] = ends(corners, 0, size.columns);
  const [top, bottom] = ends(corners, 1, size.rows);
  const [width, height] = [right - left, bottom - top];
  // Also where there are no corners, as numbers that are none are not larger than 1.
  if (!(width >= 1 && height >= 1)) return null;
  const box = { x: left, y: top, width, height };
  return { ...box, outline: outline(box, viewport, size) };
}

function ends(corners: (Point2 | null)[], axis: 0 | 1, size: number): [number, number] {
  const places = corners.map((corner) => Math.min(Math.max(corner?.[axis] ?? NaN, 0), size));
  return [Math.min(...places), Math.max(...places)];
}

function outline({ x, y, width, height }: Omit<Region, 'outline'>, viewport: StackViewport, size: Size): Point2[] {
  const corners: Point2[] = [
    [x, y],
    [x + width, y],
    [x + width, y + height],
    [x, y + height],
  ];
  const canvas = viewport.element.querySelector<HTMLCanvasElement>('canvas.cornerstone-canvas');
  // The panel shows the middle of the viewport, or where the browser does not give that, the picture from the archive.
  const [across, down] = canvas?.clientWidth ? [canvas.clientWidth, canvas.clientHeight] : [size.columns, size.rows];
  const side = canvas?.clientWidth ? Math.min(across, down) : Math.max(across, down);
  return corners.map((corner) => {
    const [u, v] = (canvas?.clientWidth ? toCanvas(viewport, corner) : null) ?? corner;
    return [(u - (across - side) / 2) / side, (v - (down - side) / 2) / side];
  });
}

function tenth(number: number): number {
  return Math.round(number * 10) / 10;
}
