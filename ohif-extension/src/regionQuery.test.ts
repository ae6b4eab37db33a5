import { beforeEach, expect, it } from 'vitest';

import { SimilarCasesService } from './SimilarCasesService';
import { goldenAnswer } from './testing/answers';
import { ClientDouble, settle } from './testing/clientDouble';
import { series, ViewerDouble } from './testing/viewerDouble';

let viewer: ViewerDouble;
let client: ClientDouble;
let service: SimilarCasesService;

const draw = () => viewer.draw('default', [10, 20], [20, 40]);
const ROI = '0.5,0.5,20,10';

beforeEach(() => {
  localStorage.clear();
  viewer = new ViewerDouble(...series('1.2.3.1', 10));
  client = new ClientDouble();
  service = new SimilarCasesService(viewer.managers, client);
});

it('searches with the rectangle on the slice, also among the patient’s other studies', async () => {
  draw();
  service.findSimilarToRegion();
  expect(client.last().request.roi).toBe(ROI);
  expect(viewer.commands).toEqual([]);
  client.last().answer(goldenAnswer());
  await settle();
  expect(client.last('only').request.roi).toBe(ROI);
});

it('lets the reader draw where there is no rectangle, and then searches by itself', async () => {
  service.findSimilarToRegion();
  expect(service.getState().notice).toBe('drawRegion');
  expect(client.calls).toHaveLength(0);
  draw();
  await settle();
  expect(client.last().request.roi).toBe(ROI);
  expect(service.getState().notice).toBeNull();
  expect(viewer.tool).toBe('WindowLevel');
});

it('asks again after a mere click', async () => {
  service.findSimilarToRegion();
  viewer.draw('default', [10, 20], [10, 20]);
  await settle();
  expect(service.getState().notice).toBe('drawRegion');
  expect(viewer.tool).toBe('RectangleROI');
  draw();
  await settle();
  expect(client.last().request.roi).toBe(ROI);
});

it.each([
  ['the message is dismissed', () => service.dismissNotice()],
  ['the study is left', () => service.leave()],
  ['the whole slice is searched with instead', () => service.findSimilar()],
])('does not wait for a rectangle any longer when %s', async (_, act) => {
  service.findSimilarToRegion();
  act();
  const before = client.calls.length;
  draw();
  await settle();
  expect(client.calls).toHaveLength(before);
  expect(viewer.tool).toBe('WindowLevel');
  expect(service.getState().notice).toBeNull();
});

it('goes back to the whole slice, the same one, wherever the reader is now', () => {
  draw();
  service.findSimilarToRegion();
  viewer.scroll('default', 5);
  service.findSimilarToWhole();
  expect(client.last().request).toMatchObject({ uid: '1.2.3.1.1' });
  expect(client.last().request.roi).toBeUndefined();
  expect(service.getState().query?.region).toBeUndefined();
});

it('keeps the region when options change', () => {
  draw();
  service.findSimilarToRegion();
  service.setOptions({ k: 20 });
  expect(client.last().request).toMatchObject({ roi: ROI, k: 20 });
});

it('makes no request where the viewport shows no slice', () => {
  viewer.viewports.get('default')!.type = 'volume3d';
  service.findSimilarToRegion();
  expect(client.calls).toHaveLength(0);
  expect(service.getState().search).toMatchObject({ phase: 'failed', failure: { kind: 'unsupported' } });
});
