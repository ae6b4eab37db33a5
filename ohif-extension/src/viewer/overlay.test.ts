import { beforeEach, expect, it } from 'vitest';

import { PICTURE, series, ViewerDouble } from '../testing/viewerDouble';
import { CLASS, layOver } from './overlay';

const SLICE = { SOPInstanceUID: '1.1.1.1', frame: 1 };

let viewer: ViewerDouble;
let canvas: HTMLCanvasElement;

const matrix = () => /matrix\((.*)\)/.exec(canvas.style.transform)?.[1]?.split(',').map(Number) ?? [];

/** Where a corner of the overlay comes to lie in the viewport. */
function corner(x: number, y: number): [number, number] {
  const [a = NaN, b = NaN, c = NaN, d = NaN, e = NaN, f = NaN] = matrix();
  return [a * x * canvas.width + c * y * canvas.height + e, b * x * canvas.width + d * y * canvas.height + f];
}

/** Where the corner of the stored picture is: half a pixel from the middle of its first or last one. */
function expected(x: number, y: number): [number, number] {
  const { zoom, pan } = viewer.camera;
  const at = (axis: 0 | 1, share: number, size: number) =>
    (PICTURE.origin[axis] + (share * size - 0.5) * PICTURE.spacing[axis]) * zoom + (pan[axis] ?? 0);
  return [at(0, x, PICTURE.columns), at(1, y, PICTURE.rows)];
}

function expectInPlace() {
  for (const [x, y] of [
    [0, 0],
    [1, 0],
    [0, 1],
    [1, 1],
  ] as const) {
    const [left, top] = corner(x, y);
    expect(left).toBeCloseTo(expected(x, y)[0]);
    expect(top).toBeCloseTo(expected(x, y)[1]);
  }
}

beforeEach(() => {
  viewer = new ViewerDouble(...series('1.1.1', 3));
  canvas = document.createElement('canvas');
  canvas.width = canvas.height = 56;
});

it('covers the whole stored picture, from edge to edge', () => {
  layOver(viewer.managers, 'default', SLICE, canvas);
  expectInPlace();
  expect(canvas.hidden).toBe(false);
});

it('follows zoom and pan', () => {
  layOver(viewer.managers, 'default', SLICE, canvas);
  Object.assign(viewer.camera, { zoom: 9, pan: [-40, 25] });
  viewer.render();
  expectInPlace();
});

it('is hidden on other slices, and until the slice is loaded', () => {
  layOver(viewer.managers, 'default', SLICE, canvas);
  viewer.scroll('default', 2);
  expect(canvas.hidden).toBe(true);
  viewer.scroll('default', 0);
  expect(canvas.hidden).toBe(false);
  viewer.viewports.get('default')!.getImageData = () => undefined;
  viewer.render();
  expect(canvas.hidden).toBe(true);
});

it('lies below what the reader drew, and takes no clicks from it', () => {
  const { element } = viewer.viewports.get('default')!;
  element.innerHTML = '<canvas class="cornerstone-canvas"></canvas><svg></svg>';
  layOver(viewer.managers, 'default', SLICE, canvas);
  expect([...element.children].map((one) => one.getAttribute('class'))).toEqual(['cornerstone-canvas', CLASS, null]);
});

it('goes without a trace', () => {
  const remove = layOver(viewer.managers, 'default', SLICE, canvas);
  remove();
  const before = canvas.style.transform;
  viewer.camera.zoom = 1;
  viewer.render();
  expect(viewer.viewports.get('default')!.element.childElementCount).toBe(0);
  expect(canvas.style.transform).toBe(before);
});

it('is nowhere where the viewport is gone', () => {
  layOver(viewer.managers, 'other', SLICE, canvas)();
  expect(canvas.isConnected).toBe(false);
});
