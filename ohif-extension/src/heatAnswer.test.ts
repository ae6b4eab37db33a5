import { expect, it } from 'vitest';

import { UnexpectedAnswer } from './check';
import { parseHeat } from './heatAnswer';
import { heatAnswer } from './testing/answers';

it('is taken as the plugin gives it', () => {
  const answer = heatAnswer();
  expect(parseHeat(JSON.parse(JSON.stringify(answer)))).toEqual(answer);
});

const good = () => heatAnswer() as unknown as Record<string, unknown>;

it.each([
  ['nothing', null],
  ['text', 'ok'],
  ['no similarity', { ...good(), similarity: null }],
  ['one slice only', { ...good(), against: undefined }],
  ['no overlay', { ...good(), query: { cells: [[1]] } }],
  ['an empty overlay', { ...good(), query: { cells: [[1]], overlay: [] } }],
  ['rows of different length', { ...good(), query: { cells: [[1]], overlay: [[1, 2], [3]] } }],
  ['words for numbers', { ...good(), query: { cells: [[1]], overlay: [['1']] } }],
])('is refused where it is %s', (_, answer) => {
  expect(() => parseHeat(answer)).toThrow(UnexpectedAnswer);
});
