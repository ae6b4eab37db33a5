import { beforeEach, describe, expect, it, vi } from 'vitest';

import { Failure } from './failure';
import { SimilarCasesService } from './SimilarCasesService';
import { answerWith, heatAnswer } from './testing/answers';
import { ClientDouble, settle } from './testing/clientDouble';
import { series, ViewerDouble } from './testing/viewerDouble';
import { CLASS } from './viewer/overlay';

let viewer: ViewerDouble;
let client: ClientDouble;
let service: SimilarCasesService;

const heat = () => service.getState().heat;
const until = async (done: () => boolean) => {
  while (!done()) await settle();
};

/** Opacity of the heat map by viewport, of those that are seen. */
function overlays(): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [viewportId, { element }] of viewer.viewports) {
    for (const canvas of element.querySelectorAll<HTMLCanvasElement>(`.${CLASS}`)) {
      expect(found[viewportId]).toBeUndefined();
      if (!canvas.hidden) found[viewportId] = canvas.style.opacity;
    }
  }
  return found;
}

const BOTH = { 'cbmir-query': '0.6', 'cbmir-hit': '0.6' };

/** Compares the query with the best slice of a case, counted from 1. */
async function open(rank: number) {
  const { search } = service.getState();
  const slice = search.phase === 'found' ? search.answer.cases[rank - 1]?.slices[0] : undefined;
  await service.open(slice!);
}

async function answer(similarity?: number) {
  client.heatCalls.at(-1)?.answer(heatAnswer(similarity));
  await settle();
}

beforeEach(async () => {
  localStorage.clear();
  const createImageData = (width: number, height: number) => ({ data: new Uint8ClampedArray(4 * width * height) });
  const context = { createImageData, putImageData: vi.fn(), drawImage: vi.fn() };
  vi.spyOn(HTMLCanvasElement.prototype, 'getContext').mockReturnValue(context as never);
  viewer = new ViewerDouble(...series('1.2.3.1', 10));
  client = new ClientDouble();
  service = new SimilarCasesService(viewer.managers, client);
  service.findSimilar();
  const found = answerWith({}, {});
  found.cases[1]!.slices[0]!.orthancId = 'second';
  for (const one of found.cases) viewer.loadable.set(one.StudyInstanceUID, series(one.SeriesInstanceUID, 10));
  client.last().answer(found);
  await settle();
  await open(1);
});

it('is off until it is asked for', () => {
  expect(heat().phase).toBe('off');
  expect(client.heatCalls).toHaveLength(0);
  expect(overlays()).toEqual({});
});

it('is asked for the pair on screen, and laid over both slices', async () => {
  service.heat.setOn(true);
  expect(heat().phase).toBe('searching');
  const { request } = client.heatCalls[0]!;
  expect(request).toEqual({
    SOPInstanceUID: '1.2.3.1.1',
    frame: 1,
    against: '3185df9f-4e41723d-aadd33ee-44556677-8899aabb',
    againstFrame: 1,
  });
  await answer(0.9);
  expect(heat()).toEqual({ phase: 'shown', similarity: 0.9 });
  expect(overlays()).toEqual(BOTH);
});

it('is asked for the region that was searched with', async () => {
  viewer.managers.servicesManager.services.viewportGridService.getActiveViewportId = () => 'cbmir-query';
  viewer.draw('cbmir-query', [10, 20], [20, 40]);
  service.findSimilarToRegion();
  client.last().answer(answerWith({}, {}));
  await settle();
  await open(1);
  service.heat.setOn(true);
  expect(client.heatCalls[0]?.request).toMatchObject({ roi: client.last().request.roi });
});

describe('another case', () => {
  beforeEach(async () => {
    service.heat.setOn(true);
    await answer(0.9);
  });

  it('has a heat map of its own', async () => {
    await open(2);
    expect(heat().phase).toBe('searching');
    expect(overlays()).toEqual({});
    expect(client.heatCalls.at(-1)?.request.against).toBe('second');
    await answer(0.7);
    expect(heat()).toEqual({ phase: 'shown', similarity: 0.7 });
    expect(overlays()).toEqual(BOTH);
  });

  it('is not asked for again when the reader comes back', async () => {
    await open(2);
    await answer();
    await open(1);
    await settle();
    expect(client.heatCalls).toHaveLength(2);
    expect(heat()).toEqual({ phase: 'shown', similarity: 0.9 });
    expect(overlays()).toEqual(BOTH);
  });

  it('never gets the answer of the one before', async () => {
    await open(2);
    const late = client.heatCalls.at(-1)!;
    await open(1);
    expect(late.signal.aborted).toBe(true);
    late.answer(heatAnswer(0.1));
    await settle();
    expect(heat()).toEqual({ phase: 'shown', similarity: 0.9 });
  });
});

it('can be made fainter, also for the cases after', async () => {
  service.heat.setOn(true);
  await answer();
  service.heat.setOpacity(0.25);
  expect(overlays()).toEqual({ 'cbmir-query': '0.25', 'cbmir-hit': '0.25' });
  await open(2);
  await answer();
  expect(overlays()).toEqual({ 'cbmir-query': '0.25', 'cbmir-hit': '0.25' });
});

it('says what went wrong, and can be tried again', async () => {
  service.heat.setOn(true);
  const failure = new Failure('unavailable', 'the model cannot say');
  client.heatCalls[0]?.fail(failure);
  await settle();
  expect(heat()).toEqual({ phase: 'failed', failure });
  service.heat.setOn(true);
  await answer();
  expect(heat().phase).toBe('shown');
});

it('is laid over a viewport again that was mounted anew', async () => {
  service.heat.setOn(true);
  await answer();
  viewer.viewports.get('cbmir-hit')!.element.replaceChildren();
  viewer.events.emit('data', { viewportId: 'cbmir-hit' });
  expect(overlays()).toEqual(BOTH);
});

describe('it is gone', () => {
  let listening: number;

  beforeEach(async () => {
    listening = viewer.events.size;
    service.heat.setOn(true);
    await answer();
  });

  it('when it is switched off', () => {
    service.heat.setOn(false);
    expect(overlays()).toEqual({});
    expect(heat().phase).toBe('off');
    expect(viewer.events.size).toBe(listening);
  });

  it('when the comparison is closed, and stays off for the next one', async () => {
    await service.closeComparison();
    expect(overlays()).toEqual({});
    await open(1);
    expect(heat().phase).toBe('off');
    expect(overlays()).toEqual({});
  });

  it('where the reader chose a layout without the hit', () => {
    viewer.viewports.get('cbmir-hit')!.element.remove();
    const [single] = viewer.layouts;
    void viewer.managers.servicesManager.services.viewportGridService.setLayout(single!);
    service.layoutChanged();
    expect(overlays()).toEqual({});
  });

  it('when the study is left, with all that is known of it', async () => {
    service.leave();
    expect(heat().phase).toBe('off');
    expect(overlays()).toEqual({});
    expect(viewer.events.size).toBeLessThanOrEqual(listening);
    service.heat.setOn(true);
    await settle();
    expect(client.heatCalls).toHaveLength(1);
    expect(heat().phase).toBe('off');
  });
});

it('is not laid over anything by an answer that comes after the study was left', async () => {
  service.heat.setOn(true);
  service.leave();
  await answer();
  expect(heat().phase).toBe('off');
  expect(overlays()).toEqual({});
});

it('is done without where the browser cannot paint', async () => {
  vi.spyOn(HTMLCanvasElement.prototype, 'getContext').mockReturnValue(null);
  await until(() => service.getState().comparing);
  service.heat.setOn(true);
  await answer();
  expect(overlays()).toEqual({});
});
