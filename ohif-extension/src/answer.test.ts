import { describe, expect, it } from 'vitest';

import { parseSimilar, parseStatus } from './answer';
import { UnexpectedAnswer } from './check';
import { anonymousAnswer, golden, goldenAnswer } from './testing/answers';

const [share] = golden.statistics.labels;

describe('parseSimilar', () => {
  it('takes the answer that the plugin is tested against', () => {
    const answer = parseSimilar(golden);
    expect(answer.query.SOPInstanceUID).toBe('1.2.3.1.1.1');
    expect(answer.cases.map(({ similarity }) => similarity)).toEqual([0.9312]);
    expect(answer.cases[0]?.slices[0]?.StudyInstanceUID).toBe('1.2.3.2');
    expect(answer.cases[0]?.labels).toEqual([{ label: 'meningioma', provenance: 'histology' }]);
  });

  it('takes what is said of the nearest patients, and that nothing is', () => {
    const { statistics } = parseSimilar(golden);
    expect(statistics?.labels.map(({ interval }) => interval)).toEqual([
      [0.4093, 0.9285],
      [0.0715, 0.5907],
    ]);
    expect(statistics?.counterExample?.rank).toBeNull();
    expect(parseSimilar({ ...golden, statistics: null }).statistics).toBeNull();
  });

  it('takes an answer without cases, and one without names and dates', () => {
    expect(parseSimilar({ ...golden, cases: [], message: 'why' }).message).toBe('why');
    expect(parseSimilar(anonymousAnswer()).cases[0]?.patient).toBeUndefined();
  });

  it.each([
    ['null', null],
    ['a list', []],
    ['text', 'ok'],
    ['no query', { ...golden, query: undefined }],
    ['no model', { ...golden, model: null }],
    ['cases that are no list', { ...golden, cases: {} }],
    ['a case without slices', { ...golden, cases: [{ ...golden.cases[0], slices: [] }] }],
    ['a case without labels', { ...golden, cases: [{ ...golden.cases[0], labels: null }] }],
    ['a similarity that is text', { ...golden, cases: [{ ...golden.cases[0], similarity: '0.9' }] }],
    ['a case without a rank', { ...golden, cases: [{ ...golden.cases[0], rank: null }] }],
    ['a percentile that is text', { ...golden, cases: [{ ...golden.cases[0], percentile: '38' }] }],
    ['no calibration', { ...golden, calibration: undefined }],
    ['something unusual without words', { ...golden, unusual: { similarity: 0.6, usualFrom: 0.8 } }],
    ['no statistics', { ...golden, statistics: undefined }],
    ['statistics without their note', { ...golden, statistics: { ...golden.statistics, note: null } }],
    [
      'an interval with one end',
      { ...golden, statistics: { ...golden.statistics, labels: [{ ...share, interval: [0] }] } },
    ],
    [
      'a comparison of another kind',
      { ...golden, statistics: { ...golden.statistics, labels: [{ ...share, compared: 'x' }] } },
    ],
    ['a counter-example that is no case', { ...golden, statistics: { ...golden.statistics, counterExample: {} } }],
    ['a slice without picture', { ...golden, query: { ...goldenAnswer().query, thumbnailUrl: null } }],
    ['a frame that is text', { ...golden, query: { ...goldenAnswer().query, frame: '1' } }],
  ])('refuses %s', (_, json) => {
    expect(() => parseSimilar(json)).toThrow(UnexpectedAnswer);
  });
});

describe('parseStatus', () => {
  it('takes what the panel shows and lets the rest be', () => {
    const status = { state: 'running', reason: null, queued: 12, indexed: 345, etaSeconds: 60, slicesPerSecond: 40.1 };
    expect(parseStatus(status)).toEqual({ state: 'running', reason: null, queued: 12, indexed: 345, etaSeconds: 60 });
  });

  it('takes the few facts of a plugin that is switched off', () => {
    expect(parseStatus({ state: 'disabled', reason: 'no model' })).toMatchObject({ queued: 0, reason: 'no model' });
  });

  it('refuses anything else', () => {
    expect(() => parseStatus({ ok: true })).toThrow(UnexpectedAnswer);
  });
});
