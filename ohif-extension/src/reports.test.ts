import { beforeEach, expect, it } from 'vitest';

import { SimilarCasesService } from './SimilarCasesService';
import { answerWith } from './testing/answers';
import { ClientDouble, settle } from './testing/clientDouble';
import { series, ViewerDouble } from './testing/viewerDouble';

let viewer: ViewerDouble;
let client: ClientDouble;
let service: SimilarCasesService;

const reports = () => service.getState().reports;

async function find(...reportUrls: (string | null)[]) {
  service.findSimilar();
  client.last().answer(answerWith(...reportUrls.map((reportUrl) => ({ reportUrl }))));
  await settle();
}

beforeEach(() => {
  localStorage.clear();
  viewer = new ViewerDouble(...series('1.2.3.1', 10));
  client = new ClientDouble();
  client.reports = { '/a': ['Finding: a'], '/b': [] };
  service = new SimilarCasesService(viewer.managers, client);
});

it('are asked for once the cases are there, where there are any', async () => {
  await find('/a', null, '/b');
  expect(client.reportCalls).toEqual(['/a', '/b']);
  expect(reports()).toEqual({ '/a': ['Finding: a'], '/b': [] });
});

it('are asked for once, also where several cards are of one study, and by later searches', async () => {
  await find('/a', '/a');
  await find('/a', '/b');
  expect(client.reportCalls).toEqual(['/a', '/b']);
});

it('do without one that cannot be had, until the next search', async () => {
  await find('/gone', '/a');
  expect(reports()).toEqual({ '/a': ['Finding: a'] });
  client.reports['/gone'] = ['back'];
  await find('/gone');
  expect(reports()['/gone']).toEqual(['back']);
});

it('are asked for one after the other, and no longer when another slice is searched with', async () => {
  let answer: (lines: string[]) => void = () => undefined;
  client.report = (path) => {
    client.reportCalls.push(path);
    return new Promise((resolve) => (answer = resolve));
  };
  await find('/a', '/b');
  expect(client.reportCalls).toEqual(['/a']);
  service.findSimilar();
  answer(['late']);
  await settle();
  expect(client.reportCalls).toEqual(['/a']);
  expect(reports()).toEqual({});
});

it('are forgotten when the study is left', async () => {
  await find('/a');
  service.leave();
  expect(reports()).toEqual({});
});
