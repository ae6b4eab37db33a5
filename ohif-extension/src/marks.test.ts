import { expect, it } from 'vitest';

import type { SliceAnswer } from './answer';
import { isSameRefinement, marked, markOf, refinementBy } from './marks';
import { answerWith, slice } from './testing/answers';

const one = (orthancId: string, frame = 1): SliceAnswer => ({ ...slice('1.2.3.4'), orthancId, frame });

it('hold the last verdict on each slice', () => {
  const marks = marked(marked(marked([], one('a'), 'similar'), one('b'), 'similar'), one('a'), 'different');
  expect(marks.map(({ slice, verdict }) => [slice.orthancId, verdict])).toEqual([
    ['b', 'similar'],
    ['a', 'different'],
  ]);
  expect(marked(marks, one('a'), null)).toHaveLength(1);
});

it('tell the frames of one object apart', () => {
  expect(marked(marked([], one('a', 1), 'similar'), one('a', 2), 'different')).toHaveLength(2);
});

it('belong to the case that holds the slice, also where another slice is its best one now', () => {
  const [found] = answerWith({ slices: [one('new'), one('old')] }).cases;
  const marks = marked([], one('old'), 'similar');
  expect(markOf(found!, marks)?.slice.orthancId).toBe('old');
  expect(markOf(found!, [])).toBeUndefined();
});

it('make a refinement of ids and frames, and of nothing else', () => {
  const marks = marked(marked(marked([], one('a'), 'similar'), one('b', 3), 'similar'), one('c'), 'different');
  expect(refinementBy(marks)).toEqual({ more: 'a:1,b:3', less: 'c:1' });
  expect(refinementBy(marked([], one('a'), 'different'))).toEqual({ less: 'a:1' });
  expect(refinementBy([])).toBeNull();
});

it('are new to a ranking that does not know them', () => {
  const refinement = refinementBy(marked([], one('a'), 'similar'));
  expect(isSameRefinement(refinement, { more: 'a:1' })).toBe(true);
  expect(isSameRefinement(refinement, null)).toBe(false);
  expect(isSameRefinement(refinement, { less: 'a:1' })).toBe(false);
});
