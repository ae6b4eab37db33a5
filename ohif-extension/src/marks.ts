/** What the reader said of the hits of one query. */
import type { CaseAnswer, SliceAnswer } from './answer';
import type { Feedback } from './cbmirClient';

export type Verdict = NonNullable<Feedback['verdict']>;

export interface Mark {
  verdict: Verdict;
  slice: SliceAnswer;
}

/** In the order in which they were made. */
export type Marks = readonly Mark[];

/** The slices to rank by besides the query, as the plugin reads them. */
export interface Refinement {
  more?: string;
  less?: string;
}

/** The mark on one of a case's slices: refined, another of them may be the best. */
export function markOf({ slices }: CaseAnswer, marks: Marks): Mark | undefined {
  return marks.find(({ slice }) => slices.some((one) => isSame(one, slice)));
}

/** With this mark in place of an earlier one on the same slice; without either where the verdict is null. */
export function marked(marks: Marks, slice: SliceAnswer, verdict: Verdict | null): Marks {
  const others = marks.filter((mark) => !isSame(mark.slice, slice));
  return verdict ? [...others, { verdict, slice }] : others;
}

/** Null where nothing is marked. */
export function refinementBy(marks: Marks): Refinement | null {
  const [more, less] = [listed(marks, 'similar'), listed(marks, 'different')];
  return more || less ? { ...(more && { more }), ...(less && { less }) } : null;
}

export function isSameRefinement(one: Refinement | null, other: Refinement | null): boolean {
  return one?.more === other?.more && one?.less === other?.less;
}

function listed(marks: Marks, verdict: Verdict): string {
  const slices = marks.filter((mark) => mark.verdict === verdict).map(({ slice }) => slice);
  return slices.map(({ orthancId, frame }) => `${orthancId}:${frame}`).join(',');
}

function isSame(one: SliceAnswer, other: SliceAnswer): boolean {
  return one.orthancId === other.orthancId && one.frame === other.frame;
}
