import { beforeEach, describe, expect, it } from 'vitest';

import { PICTURE, series, ViewerDouble } from '../testing/viewerDouble';
import { currentRegion, roi } from './region';

let viewer: ViewerDouble;

const region = () => currentRegion(viewer.managers);

/** In mm, for points of the picture: its pixels are 0.5 mm wide and 2 mm high. */
const mm = (x: number, y: number): [number, number] => [
  PICTURE.origin[0] + (x - 0.5) * PICTURE.spacing[0],
  PICTURE.origin[1] + (y - 0.5) * PICTURE.spacing[1],
];

beforeEach(() => {
  viewer = new ViewerDouble(...series('1.1.1', 3));
});

it('is in pixels of the stored picture, also where these are not square', () => {
  viewer.draw('default', mm(4, 2), mm(14, 7));
  expect(region()).toMatchObject({ x: 4, y: 2, width: 10, height: 5 });
});

it('is the same from whichever corner it was drawn', () => {
  viewer.draw('default', mm(14, 2), mm(4, 7));
  expect(region()).toMatchObject({ x: 4, y: 2, width: 10, height: 5 });
});

it('starts at 0 in the corner of the first pixel, not in its middle', () => {
  viewer.draw('default', mm(0, 0), mm(PICTURE.columns, PICTURE.rows));
  expect(region()).toMatchObject({ x: 0, y: 0, width: PICTURE.columns, height: PICTURE.rows });
});

it('ends where the picture does', () => {
  viewer.draw('default', mm(-5, 15), mm(10, 25));
  expect(region()).toMatchObject({ x: 0, y: 15, width: 10, height: 5 });
});

it('is the newest of several', () => {
  viewer.draw('default', mm(1, 1), mm(9, 9));
  viewer.draw('default', mm(20, 10), mm(30, 14));
  expect(region()).toMatchObject({ x: 20, y: 10 });
});

describe('there is none', () => {
  it('on a slice without a rectangle', () => {
    viewer.draw('default', mm(1, 1), mm(9, 9));
    viewer.scroll('default', 1);
    expect(region()).toBeNull();
    viewer.scroll('default', 0);
    expect(region()).not.toBeNull();
  });

  it('where something else was drawn, or the rectangle is hidden', () => {
    viewer.draw('default', mm(1, 1), mm(9, 9), 'EllipticalROI');
    viewer.draw('default', mm(1, 1), mm(9, 9));
    viewer.annotations[1]!.isVisible = false;
    expect(region()).toBeNull();
  });

  it('after a mere click, outside of the picture, and in a rectangle without corners', () => {
    viewer.draw('default', mm(3, 3), mm(3.5, 3.5));
    viewer.draw('default', mm(-9, 1), mm(-2, 9));
    viewer.annotations.push({ ...viewer.annotations[0]!, data: {} });
    expect(region()).toBeNull();
  });

  it('before the slice is loaded, and where no slice is shown', () => {
    viewer.draw('default', mm(1, 1), mm(9, 9));
    viewer.viewports.get('default')!.getImageData = () => undefined;
    expect(region()).toBeNull();
    viewer.viewports.clear();
    expect(region()).toBeNull();
  });
});

it('is written as the plugin reads it, to a tenth of a pixel', () => {
  expect(roi({ x: 1.26, y: 2, width: 10.04, height: 0.5 * 7, outline: [] })).toBe('1.3,2,10,3.5');
});

describe('its outline', () => {
  it('lies on the picture from the archive, which is shown whole, in the middle of a square', () => {
    viewer.draw('default', mm(0, 0), mm(20, 20));
    expect(region()?.outline).toEqual([
      [0, 0.25],
      [0.5, 0.25],
      [0.5, 0.75],
      [0, 0.75],
    ]);
  });

  it('lies on the middle of the viewport, where its picture is from', () => {
    const canvas = document.createElement('canvas');
    canvas.className = 'cornerstone-canvas';
    Object.defineProperties(canvas, { clientWidth: { value: 300 }, clientHeight: { value: 200 } });
    viewer.viewports.get('default')!.element.append(canvas);
    viewer.draw('default', mm(4, 2), mm(14, 7));
    const [left, top] = mm(4, 2);
    const [u, v] = region()?.outline[0] ?? [];
    expect(u).toBeCloseTo((viewer.camera.zoom * left - 50) / 200);
    expect(v).toBeCloseTo((viewer.camera.zoom * top) / 200);
  });
});
