/** All that the panel shows, as one value. */
import type { AnyCase, CaseAnswer, SimilarAnswer, Status } from './answer';
import type { Failure } from './failure';
import type { Marks, Refinement } from './marks';
import type { Options } from './options';
import type { Saved } from './saved';
import type { CurrentImage } from './viewer/currentImage';
import type { SliceName } from './viewer/imageId';

export type Search =
  | { phase: 'idle' }
  | { phase: 'searching' }
  | { phase: 'found'; answer: SimilarAnswer }
  | { phase: 'failed'; failure: Failure; status: Status | null };

/** "Why similar": off until it is asked for. */
export type Heat =
  | { phase: 'off' }
  | { phase: 'searching' }
  | { phase: 'shown'; similarity: number }
  | { phase: 'failed'; failure: Failure };

export type NoticeKind = 'sliceGone' | 'drawRegion' | 'notKept' | 'notTakenBack';

export type Priors =
  { phase: 'none' } | { phase: 'searching' } | { phase: 'found'; cases: CaseAnswer[] } | { phase: 'failed' };

/** Documents in the archive, or a picture for teaching: made only when the reader asks. */
export type Keeping =
  | { phase: 'none' }
  | { phase: 'saving' }
  | { phase: 'drawing' }
  | { phase: 'saved'; saved: Saved }
  | { phase: 'failed'; what: 'saving' | 'drawing'; failure: Failure };

export interface State {
  options: Options;
  query: CurrentImage | null;
  search: Search;
  priors: Priors;
  /** First lines by the address of the report; none where it has no text. */
  reports: Readonly<Record<string, string[]>>;
  /** The slice shown on the right, by `sliceKey`. */
  opened: string | null;
  comparing: boolean;
  notice: NoticeKind | null;
  /** What the reader said of hits of this query. */
  marks: Marks;
  /** The marks that the shown ranking takes into account. */
  refinement: Refinement | null;
  /** The cases to keep, by the `sliceKey` of their best slice; all where there is none. */
  chosen: readonly string[];
  keeping: Keeping;
  heat: Heat;
  /** Opacity of the heat map, 0 to 1. */
  heatOpacity: number;
}

export const NOTHING_SEARCHED = {
  query: null,
  search: { phase: 'idle' },
  priors: { phase: 'none' },
  reports: {},
  opened: null,
  notice: null,
  marks: [],
  refinement: null,
  chosen: [],
  keeping: { phase: 'none' },
} satisfies Partial<State>;

export const NO_HEAT = { heat: { phase: 'off' }, heatOpacity: 0.6 } satisfies Partial<State>;

export function sliceKey(slice: SliceName): string {
  return `${slice.SOPInstanceUID}/${slice.frame}`;
}

/** Whether a slice is one of the case's, by `sliceKey`. */
export function holds({ slices, match = [] }: AnyCase, key: string | null): boolean {
  const matched = match.flatMap((one) => one.slices);
  return [...slices, ...matched].some((slice) => sliceKey(slice) === key);
}

/** The cases among which next and previous move: those of the row that holds the opened one. */
export function rowOf({ search, priors, opened }: State): CaseAnswer[] {
  const cases = search.phase === 'found' ? search.answer.cases : [];
  const others = priors.phase === 'found' ? priors.cases : [];
  return others.some((one) => holds(one, opened)) ? others : cases;
}

/** All that can be opened. */
export function shownCases({ search, priors }: State): AnyCase[] {
  const found = search.phase === 'found' ? search.answer : null;
  const others = priors.phase === 'found' ? priors.cases : [];
  return [
    ...(found?.cases ?? []),
    ...others,
    ...(found?.statistics?.counterExample ? [found.statistics.counterExample] : []),
  ];
}

/** The query slice in DICOM's words, from the answer once there is one and from the viewer before. */
export function describedQuery({ query, search }: State) {
  return search.phase === 'found' ? search.answer.query : query;
}
