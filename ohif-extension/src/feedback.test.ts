import { beforeEach, expect, it } from 'vitest';

import { SimilarCasesService } from './SimilarCasesService';
import { anonymousAnswer, answerWith, goldenAnswer } from './testing/answers';
import { ClientDouble, settle } from './testing/clientDouble';
import { series, ViewerDouble } from './testing/viewerDouble';

let viewer: ViewerDouble;
let client: ClientDouble;
let service: SimilarCasesService;

const QUERY = goldenAnswer().query.orthancId;
const HIT = goldenAnswer().cases[0]!.slices[0]!;

async function find(answer = goldenAnswer()) {
  service.findSimilar();
  await answered(answer);
}

async function answered(answer = goldenAnswer()) {
  client.last().answer(answer);
  await settle();
}

const verdicts = () => service.getState().marks.map(({ verdict }) => verdict);

beforeEach(() => {
  localStorage.clear();
  viewer = new ViewerDouble(...series('1.2.3.1', 10));
  client = new ClientDouble();
  service = new SimilarCasesService(viewer.managers, client);
});

it('is sent as ids and a verdict, and nothing else', async () => {
  await find();
  service.mark(HIT, 'similar');
  expect(client.said).toEqual([{ query: QUERY, queryFrame: 1, hit: HIT.orthancId, hitFrame: 1, verdict: 'similar' }]);
  expect(verdicts()).toEqual(['similar']);
});

it('says nothing of a patient in anonymous mode', async () => {
  await find(anonymousAnswer());
  service.mark(HIT, 'different');
  service.refine();
  const sent = JSON.stringify([client.said, client.last().request]);
  for (const secret of ['Demo', 'D1', 'D2', '2023', '2024', '1.2.3.2']) expect(sent).not.toContain(secret);
});

it('can be changed, and taken back', async () => {
  await find();
  service.mark(HIT, 'similar');
  service.mark(HIT, 'different');
  expect(verdicts()).toEqual(['different']);
  service.mark(HIT, null);
  expect(client.said.map(({ verdict }) => verdict)).toEqual(['similar', 'different', null]);
  expect(verdicts()).toEqual([]);
});

it('that the server still has is not silently gone', async () => {
  await find();
  service.mark(HIT, 'similar');
  client.keepsFeedback = false;
  service.mark(HIT, null);
  await settle();
  expect(service.getState().notice).toBe('notTakenBack');
});

it('is said calmly not to be kept, and counts all the same', async () => {
  client.keepsFeedback = false;
  await find();
  service.mark(HIT, 'similar');
  await settle();
  expect(service.getState().notice).toBe('notKept');
  expect(verdicts()).toEqual(['similar']);
});

it('is not missed beside another query', async () => {
  client.keepsFeedback = false;
  await find();
  service.mark(HIT, 'similar');
  viewer.scroll('default', 4);
  service.findSimilar();
  await settle();
  expect(service.getState().notice).toBeNull();
});

it('refines the ranking, and lets it be as it was', async () => {
  await find();
  service.mark(HIT, 'similar');
  service.refine();
  expect(client.last().request).toMatchObject({ uid: '1.2.3.1.1', more: `${HIT.orthancId}:1` });
  expect(client.last().request.less).toBeUndefined();
  await answered();
  expect(verdicts()).toEqual(['similar']);
  service.unrefine();
  expect(client.last().request.more).toBeUndefined();
  expect(verdicts()).toEqual(['similar']);
});

it('stays in force while options change, and for the same slice, but not for another', async () => {
  await find();
  service.mark(HIT, 'different');
  service.refine();
  await answered();
  service.setOptions({ k: 20 });
  expect(client.last().request).toMatchObject({ k: 20, less: `${HIT.orthancId}:1` });
  await answered();
  service.findSimilar();
  expect(client.last().request.less).toBeUndefined();
  expect(verdicts()).toEqual(['different']);
  viewer.scroll('default', 4);
  service.findSimilar();
  expect(verdicts()).toEqual([]);
});

it('does not show a refined answer that comes after it was undone', async () => {
  await find();
  service.mark(HIT, 'similar');
  service.refine();
  const late = client.last();
  service.unrefine();
  late.answer(answerWith({}, {}, {}));
  await answered();
  expect(service.getState().search).toMatchObject({ answer: { cases: [{ rank: 1 }] } });
});

it('is forgotten when the study is left', async () => {
  await find();
  service.mark(HIT, 'similar');
  service.refine();
  service.leave();
  expect(service.getState()).toMatchObject({ marks: [], refinement: null });
});

it('is not taken while there is no answer to judge', () => {
  service.findSimilar();
  service.mark(HIT, 'similar');
  expect(client.said).toEqual([]);
  expect(verdicts()).toEqual([]);
});
