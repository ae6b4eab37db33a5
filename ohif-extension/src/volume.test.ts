import { describe, expect, it } from 'vitest';

import { parseSimilar } from './answer';
import { UnexpectedAnswer } from './check';
import { slice, volume as golden, volumeAnswer } from './testing/answers';
import { pairingFrom, pairingTo } from './volume';

const name = (SOPInstanceUID: string) => ({ SOPInstanceUID, frame: 1 });
const answer = volumeAnswer();
const volume = answer.volume!;
const matches = answer.cases[0]!.match!;

describe('an answer about a series', () => {
  it('is taken as the plugin is tested against', () => {
    expect(volume.series[0]?.slices.map((one) => one.SOPInstanceUID)).toEqual(['1.2.3.1.1.1', '1.2.3.1.1.2']);
  });

  it.each([
    ['a volume without series', { ...golden, volume: { ...golden.volume, series: null } }],
    ['a match that names no slices', withMatch({ slices: {} })],
    ['a match of no series of the query', withMatch({ query: 'first' })],
    ['a matched slice without similarity', withMatch({ slices: [{ ...name('1'), orthancId: 'a', similarity: null }] })],
  ])('refuses %s', (_, json) => {
    expect(() => parseSimilar(json)).toThrow(UnexpectedAnswer);
  });
});

function withMatch(change: object): unknown {
  const [one] = golden.cases;
  return { ...golden, cases: [{ ...one, match: [{ ...one!.match[0], ...change }] }] };
}

describe('what belongs side by side', () => {
  it('is what a slice of the query found', () => {
    const query = { ...name('1.2.3.1.1.2'), SeriesInstanceUID: '1.2.3.1.1' };
    const pairing = pairingFrom(volume, matches, query);
    expect(pairing?.left).toMatchObject({ SeriesInstanceUID: '1.2.3.1.1', slice: name('1.2.3.1.1.2') });
    expect(pairing?.right).toMatchObject({ ...name('1.2.3.2.1.8'), StudyInstanceUID: '1.2.3.2' });
    expect(pairing?.pairs.map((pair) => pair.map((one) => one.SOPInstanceUID))).toEqual([
      ['1.2.3.1.1.1', '1.2.3.2.1.7'],
      ['1.2.3.1.1.2', '1.2.3.2.1.8'],
    ]);
  });

  it('is the most similar pair where the slice is not among those compared, or of another series', () => {
    for (const query of [
      { ...name('1.2.3.1.1.99'), SeriesInstanceUID: '1.2.3.1.1' },
      { ...name('1.2.3.1.7.1'), SeriesInstanceUID: '1.2.3.1.7' },
    ]) {
      expect(pairingFrom(volume, matches, query)?.right.SOPInstanceUID).toBe('1.2.3.2.1.7');
    }
  });

  it('is what found a slice of the case', () => {
    expect(pairingTo(volume, matches, slice('1.2.3.2.1.8'))?.left.slice.SOPInstanceUID).toBe('1.2.3.1.1.2');
    expect(pairingTo(volume, matches, slice('1.2.3.2.1.9'))).toBeNull();
  });

  it('is nothing where nothing was found', () => {
    expect(pairingFrom(volume, [], { ...name('1'), SeriesInstanceUID: '1' })).toBeNull();
  });
});
