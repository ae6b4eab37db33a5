import { beforeEach, expect, it, vi } from 'vitest';

import { settle } from '../testing/clientDouble';
import { series, ViewerDouble } from '../testing/viewerDouble';
import { RegionDrawing } from './regionDrawing';

let viewer: ViewerDouble;
let drawing: RegionDrawing;
const done = vi.fn();

beforeEach(() => {
  done.mockReset();
  viewer = new ViewerDouble(...series('1.1.1', 3));
  drawing = new RegionDrawing(viewer.managers);
});

it('lends the rectangle tool for one rectangle', async () => {
  drawing.start(done);
  expect(viewer.tool).toBe('RectangleROI');
  viewer.draw('default', [10, 20], [20, 40]);
  await settle();
  expect(done).toHaveBeenCalledOnce();
  expect(viewer.tool).toBe('WindowLevel');
  viewer.draw('default', [10, 20], [20, 40]);
  await settle();
  expect(done).toHaveBeenCalledOnce();
});

it('waits for a rectangle, whatever else is drawn', async () => {
  drawing.start(done);
  viewer.draw('default', [10, 20], [20, 40], 'Length');
  await settle();
  expect(done).not.toHaveBeenCalled();
});

it('gives the tool back when it is called off', async () => {
  drawing.start(done);
  drawing.cancel();
  expect(viewer.tool).toBe('WindowLevel');
  viewer.draw('default', [10, 20], [20, 40]);
  await settle();
  expect(done).not.toHaveBeenCalled();
});

it('leaves a tool alone that the reader took meanwhile', () => {
  drawing.start(done);
  viewer.tool = 'Zoom';
  drawing.cancel();
  expect(viewer.tool).toBe('Zoom');
});

it('gives back the first tool when it is started twice', () => {
  drawing.start(done);
  drawing.start(done);
  drawing.cancel();
  expect(viewer.tool).toBe('WindowLevel');
});
