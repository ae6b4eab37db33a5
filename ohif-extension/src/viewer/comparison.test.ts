import { beforeEach, describe, expect, it } from 'vitest';

import { slice } from '../testing/answers';
import { series, ViewerDouble } from '../testing/viewerDouble';
import { Comparison, SliceGone } from './comparison';
import { currentImage, type CurrentImage } from './currentImage';

const CAPTIONS = ['Query', 'Similar'] as const;
const HIT = slice('2.1.1.6');
const OTHER = slice('3.1.1.2');
const GONE = slice('4.1.1.2');

let viewer: ViewerDouble;
let comparison: Comparison;
let query: CurrentImage;

beforeEach(() => {
  viewer = new ViewerDouble(...series('1.1.1', 10));
  viewer.loadable.set('2.1', series('2.1.1', 10));
  viewer.loadable.set('3.1', series('3.1.1', 10));
  viewer.scroll('default', 4);
  query = currentImage(viewer.managers)!;
  comparison = new Comparison(viewer.managers, true);
});

describe('open', () => {
  it('shows the query slice on the left and the hit on the right, each named', async () => {
    viewer.scroll('default', 9);
    await comparison.open(query, HIT, CAPTIONS);
    expect(viewer.shown()).toEqual({ 'cbmir-query': '1.1.1.5', 'cbmir-hit': '2.1.1.6' });
    expect(viewer.viewports.get('cbmir-hit')?.element.textContent).toBe('Similar');
    expect(comparison.isOpen).toBe(true);
  });

  it('loads a study once', async () => {
    await comparison.open(query, HIT, CAPTIONS);
    await comparison.open(query, OTHER, CAPTIONS);
    await comparison.open(query, HIT, CAPTIONS);
    expect(viewer.commands).toEqual(['loadStudy', 'loadStudy']);
    expect(viewer.shown()).toMatchObject({ 'cbmir-hit': '2.1.1.6' });
  });

  it('shows another slice of the series that is on screen already', async () => {
    await comparison.open(query, HIT, CAPTIONS);
    await comparison.open(query, { ...HIT, SOPInstanceUID: '2.1.1.9' }, ['Query', 'Better']);
    expect(viewer.shown()).toMatchObject({ 'cbmir-hit': '2.1.1.9' });
    expect(viewer.viewports.get('cbmir-hit')?.element.querySelectorAll('div')).toHaveLength(1);
    expect(viewer.viewports.get('cbmir-hit')?.element.textContent).toBe('Better');
  });

  it('says when the study is no longer there, and leaves the layout alone', async () => {
    await expect(comparison.open(query, GONE, CAPTIONS)).rejects.toThrow(SliceGone);
    expect(viewer.shown()).toEqual({ default: '1.1.1.5' });
  });

  it('shows the card clicked last, however the studies arrive', async () => {
    const first = comparison.open(query, HIT, CAPTIONS);
    const second = comparison.open(query, OTHER, CAPTIONS);
    await Promise.all([first, second]);
    expect(viewer.shown()).toMatchObject({ 'cbmir-hit': '3.1.1.2' });
    expect(viewer.layouts).toHaveLength(2);
  });

  it('scrolls both sides together, unless switched off', async () => {
    await comparison.open(query, HIT, CAPTIONS);
    viewer.scroll('cbmir-query', 6);
    expect(viewer.shown()).toMatchObject({ 'cbmir-hit': '2.1.1.8' });
    comparison.setLinked(false);
    viewer.scroll('cbmir-query', 0);
    expect(viewer.shown()).toMatchObject({ 'cbmir-hit': '2.1.1.8' });
  });
});

it('names and links both halves again after one was enlarged', async () => {
  await comparison.open(query, HIT, CAPTIONS);
  const grid = viewer.managers.servicesManager.services.viewportGridService;
  const both = viewer.layouts.at(-1)!;
  await grid.setLayout({ ...both, numCols: 1, findOrCreateViewport: () => both.findOrCreateViewport(1, '') });
  await grid.setLayout(both);
  await new Promise((resolve) => setTimeout(resolve, 1));
  expect(viewer.viewports.get('cbmir-query')?.element.textContent).toBe('Query');
  viewer.scroll('cbmir-query', 6);
  expect(viewer.shown()).toMatchObject({ 'cbmir-hit': '2.1.1.8' });
});

describe('close', () => {
  it('brings back the layout and the slice from before', async () => {
    await comparison.open(query, HIT, CAPTIONS);
    viewer.scroll('cbmir-query', 0);
    await comparison.open(query, OTHER, CAPTIONS);
    await comparison.close();
    expect(viewer.shown()).toEqual({ default: '1.1.1.5' });
    expect(viewer.layouts.at(-1)).toMatchObject({ numRows: 1, numCols: 1, isHangingProtocolLayout: true });
    expect(comparison.isOpen).toBe(false);
  });

  it('does nothing where nothing was open, or the reader chose another layout meanwhile', async () => {
    await comparison.close();
    await comparison.open(query, HIT, CAPTIONS);
    const [original] = viewer.layouts;
    await viewer.managers.servicesManager.services.viewportGridService.setLayout(original!);
    const before = viewer.layouts.length;
    await comparison.close();
    expect(viewer.layouts).toHaveLength(before);
  });

  it('cancels a case that is still being loaded', async () => {
    const opening = comparison.open(query, HIT, CAPTIONS);
    await comparison.close();
    await opening;
    expect(viewer.shown()).toEqual({ default: '1.1.1.5' });
  });
});
