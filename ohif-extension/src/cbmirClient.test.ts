import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { cbmirClient, type SimilarRequest } from './cbmirClient';
import { Failure } from './failure';
import { golden, heatAnswer, savedAnswer } from './testing/answers';

const ROOT = 'https://pacs.example/orthanc/';
const REQUEST: SimilarRequest = { uid: '1.2.3', frame: 2, k: 10, group: 'patient', samePatient: 'exclude' };

const fetchDouble = vi.fn<typeof fetch>();
const client = cbmirClient(ROOT, 50);
const never = () => new AbortController().signal;

function answers(body: string, init?: ResponseInit): void {
  fetchDouble.mockResolvedValue(new Response(body, init));
}

function asked(): string {
  return (fetchDouble.mock.calls[0]?.[0] as URL).href;
}

async function failure(signal = never()): Promise<Failure> {
  const error: unknown = await client.similar(REQUEST, signal).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(Failure);
  return error as Failure;
}

/** A server that never answers, but lets go when the request is aborted. */
function silent(): void {
  fetchDouble.mockImplementation(
    (_, init) =>
      new Promise((_resolve, reject) => {
        const abort = () => reject(new DOMException('aborted', 'AbortError'));
        if (init?.signal?.aborted) abort();
        init?.signal?.addEventListener('abort', abort);
      }),
  );
}

beforeEach(() => {
  vi.stubGlobal('fetch', fetchDouble.mockReset());
});
afterEach(() => {
  vi.unstubAllGlobals();
});

describe('similar', () => {
  it('asks below the root and gives the answer', async () => {
    answers(JSON.stringify(golden));
    expect((await client.similar(REQUEST, never())).cases).toHaveLength(1);
    expect(asked()).toBe(`${ROOT}cbmir/similar/1.2.3?frame=2&k=10&group=patient&samePatient=exclude`);
  });

  it('leaves wildcards as they are, and nothing else that has a meaning in a URL', async () => {
    answers(JSON.stringify(golden));
    await client.similar({ ...REQUEST, SeriesDescription: 'T1?&*#', label: '?*' }, never());
    expect(asked()).toMatch(/&SeriesDescription=T1\?%26\*%23&label=\?\*$/);
  });

  it.each([
    [401, 'unauthorised'],
    [403, 'forbidden'],
    [404, 'notIndexed'],
    [503, 'unavailable'],
    [500, 'unexpected'],
    [400, 'unexpected'],
  ])('tells status %d as %s, with and without a body', async (status, kind) => {
    answers(JSON.stringify({ error: { status, code: 'x', message: 'in words' } }), { status });
    expect(await failure()).toMatchObject({ kind, detail: 'in words' });
    answers('', { status });
    expect(await failure()).toMatchObject({ kind, detail: null });
    answers('<html>proxy</html>', { status });
    expect(await failure()).toMatchObject({ kind, detail: null });
  });

  it('passes on when to try again', async () => {
    answers('', { status: 503, headers: { 'Retry-After': '7' } });
    expect((await failure()).retryAfter).toBe(7);
    answers('', { status: 503 });
    expect((await failure()).retryAfter).toBeNull();
  });

  it.each([
    ['no JSON', 'It works!'],
    ['half an answer', '{"cases": ['],
    ['another shape', '{"hits": []}'],
  ])('does not understand %s', async (_, body) => {
    answers(body);
    expect((await failure()).kind).toBe('unexpected');
  });

  it('tells a server that is gone from one that is slow', async () => {
    fetchDouble.mockRejectedValue(new TypeError('Failed to fetch'));
    expect((await failure()).kind).toBe('unreachable');
    silent();
    expect((await failure()).kind).toBe('timeout');
  });

  it('lets go of the request when aborted, before or during it', async () => {
    silent();
    const controller = new AbortController();
    const answer = client.similar(REQUEST, controller.signal);
    controller.abort();
    await expect(answer).rejects.toMatchObject({ name: 'AbortError' });
    await expect(client.similar(REQUEST, controller.signal)).rejects.toMatchObject({ name: 'AbortError' });
  });
});

describe('status', () => {
  it('is understood also when the plugin is switched off and sends it with 503', async () => {
    answers('{"state": "disabled", "reason": "no model"}', { status: 503 });
    expect(await client.status(never())).toMatchObject({ state: 'disabled', reason: 'no model' });
  });
});

it('writes commas and colons as they are, which Orthanc 1.10 would hand on undecoded', async () => {
  answers(JSON.stringify(golden));
  await client.similar({ ...REQUEST, roi: '1,2.5,30,40', more: 'a:1,b:2', less: 'c:1' }, never());
  expect(asked()).toMatch(/&roi=1,2.5,30,40&more=a:1,b:2&less=c:1$/);
});

describe('heat', () => {
  const HEAT = { SOPInstanceUID: '1.2.3', frame: 2, roi: '1,2,3,4', against: 'a-b', againstFrame: 1 };

  it('asks about two slices and gives the answer', async () => {
    answers(JSON.stringify(heatAnswer(0.9)));
    expect((await client.heat(HEAT, never())).similarity).toBe(0.9);
    expect(asked()).toBe(`${ROOT}cbmir/heatmap/1.2.3?frame=2&roi=1,2,3,4&against=a-b&againstFrame=1`);
  });

  it('does not understand half an answer', async () => {
    answers('{"similarity": 0.9}');
    await expect(client.heat(HEAT, never())).rejects.toMatchObject({ kind: 'unexpected' });
  });
});

describe('report', () => {
  const lines = ['Finding: x', 'Impression: y'];

  it('asks below the root, at the address that the plugin gave', async () => {
    answers(JSON.stringify({ lines }));
    expect(await client.report('/cbmir/report/1', never())).toEqual(lines);
    expect(asked()).toBe(`${ROOT}cbmir/report/1`);
  });

  it('asks no other server', async () => {
    await expect(client.report('https://evil.example/x', never())).rejects.toMatchObject({ kind: 'unexpected' });
    expect(fetchDouble).not.toHaveBeenCalled();
  });

  it.each(['{}', '{"lines": [1]}', '[]', '{"lines": "x"}'])('takes %s for no report', async (body) => {
    answers(body);
    await expect(client.report('/cbmir/report/1', never())).rejects.toMatchObject({ kind: 'unexpected' });
  });
});

describe('feedback', () => {
  const SAID = { query: 'a', queryFrame: 1, hit: 'b', hitFrame: 2, verdict: 'similar' } as const;

  it('is posted as JSON, which no form of another site can do unasked', async () => {
    answers('{}', { status: 201 });
    await client.feedback(SAID);
    expect(asked()).toBe(`${ROOT}cbmir/feedback`);
    const init = fetchDouble.mock.calls[0]?.[1];
    expect(init).toMatchObject({ method: 'POST', headers: { 'Content-Type': 'application/json' } });
    expect(JSON.parse(init?.body as string)).toEqual(SAID);
  });

  it('is kept only where the plugin says so', async () => {
    answers('{}', { status: 404 });
    await expect(client.feedback(SAID)).rejects.toMatchObject({ kind: 'notIndexed' });
    fetchDouble.mockRejectedValue(new TypeError('Failed to fetch'));
    await expect(client.feedback(SAID)).rejects.toMatchObject({ kind: 'unreachable' });
  });
});

describe('saving', () => {
  const SELECTION = { query: { instance: 'a', frame: 1, roi: '1,2,3,4' }, hits: [{ instance: 'b', frame: 2 }] };

  it('is posted as JSON and resolves to the documents', async () => {
    answers(JSON.stringify(savedAnswer()), { status: 201 });
    expect(await client.save(SELECTION)).toEqual(savedAnswer());
    expect(asked()).toBe(`${ROOT}cbmir/save`);
    const init = fetchDouble.mock.calls[0]?.[1];
    expect(init).toMatchObject({ method: 'POST', headers: { 'Content-Type': 'application/json' } });
    expect(JSON.parse(init?.body as string)).toEqual(SELECTION);
  });

  it('is done only where the plugin says so', async () => {
    answers('{"error": {"message": "Orthanc does not let you store"}}', { status: 403 });
    await expect(client.save(SELECTION)).rejects.toMatchObject({ kind: 'forbidden' });
    answers('{"report": {}}', { status: 201 });
    await expect(client.save(SELECTION)).rejects.toMatchObject({ kind: 'unexpected' });
  });
});

it('asks for a series by its UID alone', async () => {
  answers(JSON.stringify(golden));
  await client.similar({ uid: '1.2.3', k: 10, group: 'patient', samePatient: 'exclude' }, never());
  expect(asked()).toBe(`${ROOT}cbmir/similar/1.2.3?k=10&group=patient&samePatient=exclude`);
});
