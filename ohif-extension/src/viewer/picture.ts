/**
 * Where the points of a stored picture are on screen. Its upper left corner is (0, 0), the lower right one is
 * (columns, rows), as in the plugin's `roi`.
 *
 * By the viewport's own image, and not by cornerstone's `imageToWorldCoords`: that one takes the spacing of rows for
 * that of columns, and misses where pixels are not square.
 */
import type { Point2, Point3 } from '../ohif';
import type { StackViewport } from './host';

/** An index counts from the middle of the first pixel. */
const HALF_A_PIXEL = 0.5;

export interface Size {
  columns: number;
  rows: number;
}

/** Null until the viewport has its slice. */
export function pictureSize(viewport: StackViewport): Size | null {
  const [columns, rows] = viewport.getImageData()?.dimensions ?? [];
  return columns && rows ? { columns, rows } : null;
}

/** In CSS pixels from the upper left corner of the viewport's canvas. */
export function toCanvas(viewport: StackViewport, [x, y]: Point2): Point2 | null {
  const image = viewport.getImageData()?.imageData;
  return image ? viewport.worldToCanvas(image.indexToWorld([x - HALF_A_PIXEL, y - HALF_A_PIXEL, 0])) : null;
}

export function toPicture(viewport: StackViewport, world: Point3): Point2 | null {
  const index = viewport.getImageData()?.imageData.worldToIndex(world);
  return index ? [index[0] + HALF_A_PIXEL, index[1] + HALF_A_PIXEL] : null;
}
