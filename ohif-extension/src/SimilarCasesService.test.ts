import { beforeEach, describe, expect, it } from 'vitest';

import { SimilarCasesService } from './SimilarCasesService';
import { answerWith } from './testing/answers';
import { ClientDouble, settle } from './testing/clientDouble';
import { series, ViewerDouble } from './testing/viewerDouble';

let viewer: ViewerDouble;
let client: ClientDouble;
let service: SimilarCasesService;

/** Cases whose studies can be loaded. */
function answer(cases: number) {
  const found = answerWith(...Array.from({ length: cases }, () => ({})));
  for (const one of found.cases) viewer.loadable.set(one.StudyInstanceUID, series(one.SeriesInstanceUID, 10));
  return found;
}

async function find(cases = 3) {
  service.findSimilar();
  client.last().answer(answer(cases));
  await settle();
}

const until = async (done: () => boolean) => {
  while (!done()) await settle();
};
const hit = () => viewer.shown()['cbmir-hit'];

beforeEach(() => {
  localStorage.clear();
  viewer = new ViewerDouble(...series('1.2.3.1', 10));
  client = new ClientDouble();
  service = new SimilarCasesService(viewer.managers, client);
});

it('makes no request where the viewport shows no slice', () => {
  viewer.viewports.get('default')!.type = 'volume3d';
  service.findSimilar();
  expect(client.calls).toHaveLength(0);
  expect(service.getState().search).toMatchObject({ phase: 'failed', failure: { kind: 'unsupported' } });
});

it('searches again with the same slice when an option changes, and remembers it', async () => {
  await find();
  viewer.scroll('default', 5);
  service.setOptions({ k: 20 });
  expect(client.last().request).toMatchObject({ uid: '1.2.3.1.1', k: 20 });
  expect(new SimilarCasesService(viewer.managers, client).getState().options.k).toBe(20);
});

it('resets filters but not how results are shown', async () => {
  service.setOptions({ k: 20, group: 'none', sameModality: true, from: '2020-01-01' });
  expect(client.calls).toHaveLength(0);
  await find();
  service.resetFilters();
  expect(service.getState().options).toMatchObject({ k: 20, group: 'none', sameModality: false, from: '' });
});

describe('comparing', () => {
  it('goes through the cases and stops at the ends', async () => {
    await find(2);
    service.step(1);
    await until(() => hit() === '1.2.3.2.1.7');
    service.step(1);
    await until(() => hit() === '1.2.3.3.1.7');
    service.step(1);
    expect(service.getState().opened).toBe('1.2.3.3.1.7/1');
    service.step(-1);
    await until(() => hit() === '1.2.3.2.1.7');
    expect(service.getState().comparing).toBe(true);
  });

  it('goes back to the layout and forgets which case was open', async () => {
    await find();
    service.step(1);
    await until(() => hit() !== undefined);
    await service.closeComparison();
    expect(viewer.shown()).toEqual({ default: '1.2.3.1.1' });
    expect(service.getState()).toMatchObject({ opened: null, comparing: false, search: { phase: 'found' } });
  });

  it('says when a case was deleted since, and searches anew', async () => {
    await find();
    viewer.loadable.clear();
    service.step(1);
    await until(() => service.getState().notice !== null);
    expect(service.getState().notice).toBe('sliceGone');
    expect(client.calls.filter(({ request }) => request.samePatient === 'exclude')).toHaveLength(2);
    service.dismissNotice();
    expect(service.getState().notice).toBeNull();
  });

  it('keeps the query when the active viewport is the hit', async () => {
    await find();
    service.step(1);
    await until(() => hit() !== undefined);
    service.setOptions({ sameSequence: true });
    expect(client.last().request.uid).toBe('1.2.3.1.1');
  });
});

it('shows nothing of one patient beside the next', async () => {
  await find();
  service.findSimilar();
  const pending = client.last();
  service.leave();
  expect(pending.signal.aborted).toBe(true);
  pending.answer(answer(3));
  await settle();
  expect(service.getState()).toMatchObject({ query: null, search: { phase: 'idle' }, priors: { phase: 'none' } });
});
