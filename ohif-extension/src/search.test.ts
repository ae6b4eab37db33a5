import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { Failure } from './failure';
import { DEFAULTS } from './options';
import { Searcher } from './search';
import { NO_HEAT, NOTHING_SEARCHED, type State } from './state';
import { Store } from './store';
import { answerWith, goldenAnswer } from './testing/answers';
import { ClientDouble } from './testing/clientDouble';
import type { CurrentImage } from './viewer/currentImage';

const query = (SOPInstanceUID: string): CurrentImage => ({
  SOPInstanceUID,
  SeriesInstanceUID: '1.1.1',
  StudyInstanceUID: '1.1',
  frame: 2,
  Modality: 'MR',
  SeriesDescription: 'T2* TSE',
  InstanceNumber: 1,
  NumberOfFrames: 3,
  displaySetInstanceUIDs: [],
  picture: null,
});

let store: Store<State>;
let client: ClientDouble;
let searcher: Searcher;

const tick = () => vi.advanceTimersByTimeAsync(0);
const search = () => store.get().search;

beforeEach(() => {
  vi.useFakeTimers();
  store = new Store<State>({ ...NOTHING_SEARCHED, ...NO_HEAT, options: DEFAULTS, comparing: false });
  client = new ClientDouble();
  searcher = new Searcher(store, client);
});
afterEach(() => {
  vi.useRealTimers();
});

describe('the request', () => {
  it('names slice and frame, and only the filters that are on', () => {
    void searcher.search(query('1'));
    expect(client.last().request).toEqual({
      ...{ uid: '1', frame: 2, k: 10, group: 'patient', samePatient: 'exclude' },
    });
  });

  it('carries every filter', () => {
    const filters = { sameModality: true, sameSequence: true, labelledOnly: true, from: '2020-01-01', to: '' };
    store.set({ options: { ...DEFAULTS, ...filters, k: 20, group: 'study' } });
    void searcher.search(query('1'));
    expect(client.last().request).toMatchObject({
      ...{ k: 20, group: 'study', Modality: 'MR', SeriesDescription: 'T2??TSE', label: '?*', StudyDate: '20200101-' },
    });
  });
});

it('never shows a slow answer of an earlier search', async () => {
  void searcher.search(query('1'));
  const slow = client.last();
  void searcher.search(query('2'));
  expect(slow.signal.aborted).toBe(true);
  const answer = answerWith({ similarity: 0.5 });
  client.last().answer(answer);
  slow.answer(goldenAnswer());
  await tick();
  expect(search()).toEqual({ phase: 'found', answer });
});

it('shows nothing after it was aborted, be it an answer or a failure', async () => {
  void searcher.search(query('1'));
  searcher.abort();
  client.last().fail(new Failure('unreachable'));
  await tick();
  expect(search()).toEqual({ phase: 'searching' });
});

it('looks for priors once there is an answer, without the study on screen', async () => {
  void searcher.search(query('1'));
  client.last().answer(goldenAnswer());
  await tick();
  expect(client.last('only').request).toMatchObject({ samePatient: 'only', group: 'study' });
  client.last('only').answer(answerWith({ StudyInstanceUID: '1.1' }, { StudyInstanceUID: '1.0' }));
  await tick();
  expect(store.get().priors).toMatchObject({ phase: 'found', cases: [{ StudyInstanceUID: '1.0' }] });
});

it('keeps the answer when the priors fail', async () => {
  void searcher.search(query('1'));
  client.last().answer(goldenAnswer());
  await tick();
  client.last('only').fail(new Failure('timeout'));
  await tick();
  expect(search().phase).toBe('found');
  expect(store.get().priors).toEqual({ phase: 'failed' });
});

describe('while the index is being made', () => {
  const indexing = { state: 'running' as const, reason: null, queued: 5, indexed: 5, etaSeconds: 9 };

  it('shows how far it is and searches again by itself', async () => {
    client.statusAnswer = indexing;
    void searcher.search(query('1'));
    client.last().fail(new Failure('notIndexed'));
    await tick();
    expect(search()).toMatchObject({ phase: 'failed', status: { queued: 5 } });
    await vi.advanceTimersByTimeAsync(2000);
    expect(client.calls).toHaveLength(2);
    client.last().fail(new Failure('notIndexed'));
    await tick();
    expect(search()).toMatchObject({ phase: 'failed', status: { queued: 5 } });
    await vi.advanceTimersByTimeAsync(2000);
    client.last().answer(goldenAnswer());
    await tick();
    expect(search().phase).toBe('found');
  });

  it('waits as long as the server asks for', async () => {
    client.statusAnswer = { ...indexing, state: 'starting', queued: 0 };
    void searcher.search(query('1'));
    client.last().fail(new Failure('unavailable', null, 7));
    await vi.advanceTimersByTimeAsync(6900);
    expect(client.calls).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(200);
    expect(client.calls).toHaveLength(2);
  });

  it.each([
    ['nothing is waiting', { ...indexing, queued: 0 }],
    ['it is switched off', { ...indexing, state: 'disabled' as const }],
    ['the status is not known', new Failure('unreachable')],
  ])('does not try again when %s', async (_, status) => {
    client.statusAnswer = status;
    void searcher.search(query('1'));
    client.last().fail(new Failure('unavailable'));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(client.calls).toHaveLength(1);
    expect(search().phase).toBe('failed');
  });

  it('stops when the reader searches for something else', async () => {
    client.statusAnswer = indexing;
    void searcher.search(query('1'));
    client.last().fail(new Failure('notIndexed'));
    await tick();
    void searcher.search(query('2'));
    client.last().answer(goldenAnswer());
    await vi.advanceTimersByTimeAsync(60_000);
    expect(client.calls.filter(({ request }) => request.uid === '1')).toHaveLength(1);
    expect(search().phase).toBe('found');
  });
});
