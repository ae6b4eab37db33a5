/** A picture laid over one slice in a viewport, wherever the reader moves it. */
import type { Managers } from '../ohif';
import { cornerstoneOf, stackViewport, type StackViewport } from './host';
import { indexOfSlice, type SliceName } from './imageId';
import { pictureSize, toCanvas } from './picture';

export const CLASS = 'cbmir-heat-overlay';

/** Lays `canvas` over the whole stored picture of the slice. Returns the function that takes it away. */
export function layOver(
  managers: Managers,
  viewportId: string,
  slice: SliceName,
  canvas: HTMLCanvasElement,
): () => void {
  const viewport = stackViewport(managers, viewportId);
  if (!viewport) return () => undefined;
  const { element } = viewport;
  const event = cornerstoneOf(managers).Enums.Events.IMAGE_RENDERED;
  const place = () => {
    const matrix = shows(managers, viewport, slice) ? matrixOf(viewport, canvas) : null;
    canvas.hidden = matrix === null;
    if (matrix) canvas.style.transform = matrix;
  };
  canvas.className = CLASS;
  canvas.setAttribute('aria-hidden', 'true');
  // Right above the picture: what the reader drew stays on top.
  const below = element.querySelector('canvas.cornerstone-canvas');
  if (below) below.after(canvas);
  else element.append(canvas);
  element.addEventListener(event, place);
  place();
  return () => {
    element.removeEventListener(event, place);
    canvas.remove();
  };
}

function shows(managers: Managers, viewport: StackViewport, slice: SliceName): boolean {
  const imageId = viewport.getCurrentImageId();
  return imageId !== undefined && indexOfSlice(cornerstoneOf(managers), [imageId], slice) === 0;
}

/** From the canvas's own pixels to the viewport's, which may be zoomed, panned, turned and flipped. */
function matrixOf(viewport: StackViewport, { width, height }: HTMLCanvasElement): string | null {
  const size = pictureSize(viewport);
  if (!size) return null;
  const origin = toCanvas(viewport, [0, 0]);
  const across = toCanvas(viewport, [size.columns, 0]);
  const down = toCanvas(viewport, [0, size.rows]);
  if (!origin || !across || !down) return null;
  const [x, y] = origin;
  const columns = [(across[0] - x) / width, (across[1] - y) / width, (down[0] - x) / height, (down[1] - y) / height];
  return `matrix(${[...columns, x, y].join(',')})`;
}
