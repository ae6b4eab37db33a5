/** What to show on the left and on the right when a case, or one of its slices, is opened. */
import type { AnyCase, SliceAnswer } from './answer';
import { formatNearness } from './format';
import type { Managers } from './ohif';
import { holds, shownCases, sliceKey, type State } from './state';
import { text } from './text';
import type { PlacedSlice } from './viewer/comparison';
import type { CurrentImage } from './viewer/currentImage';
import type { Pairs } from './viewer/linkedScrolling';
import { pairingFrom, pairingTo, type Pairing } from './volume';

export interface Sides {
  left: CurrentImage;
  right: PlacedSlice & { orthancId: string; similarity: number; percentile?: number | null };
  /** Slices to scroll to together. */
  pairs: Pairs;
}

/** The slice of a case that goes with that in the viewport: what it found, where a series or study was asked about. */
export function sidesOfCase(managers: Managers, state: State, one: AnyCase): Sides | null {
  const { query } = state;
  const [best] = one.slices;
  if (!query || !best) return null;
  const volume = volumeOf(state);
  const pairing = volume && one.match ? pairingFrom(volume, one.match, query) : null;
  return pairing ? paired(managers, query, pairing) : { left: query, right: best, pairs: [] };
}

/** A slice, beside what found it. */
export function sidesOfSlice(managers: Managers, state: State, slice: SliceAnswer): Sides | null {
  const { query } = state;
  if (!query) return null;
  const volume = volumeOf(state);
  const match = shownCases(state).find((one) => holds(one, sliceKey(slice)))?.match;
  const pairing = volume && match ? pairingTo(volume, match, slice) : null;
  return pairing ? paired(managers, query, pairing) : { left: query, right: slice, pairs: [] };
}

export function captions(state: State, { right }: Sides): [string, string] {
  const nearness = formatNearness(right);
  const { search, priors } = state;
  const found = (cases: AnyCase[]) => cases.find((one) => holds(one, sliceKey(right)));
  const one = found(search.phase === 'found' ? search.answer.cases : []);
  if (one?.rank) return [text.captionQuery, text.captionHit(one.rank, nearness)];
  const isPrior = found(priors.phase === 'found' ? priors.cases : []);
  return [text.captionQuery, isPrior ? text.captionPrior(nearness) : text.captionOther(nearness)];
}

function volumeOf({ search }: State) {
  return search.phase === 'found' ? search.answer.volume : undefined;
}

function paired(managers: Managers, query: CurrentImage, { left, right, pairs }: Pairing): Sides {
  const { SeriesInstanceUID, slice } = left;
  const { displaySetService } = managers.servicesManager.services;
  const displaySetInstanceUIDs =
    SeriesInstanceUID === query.SeriesInstanceUID
      ? query.displaySetInstanceUIDs
      : displaySetService.getDisplaySetsForSeries(SeriesInstanceUID).map((set) => set.displaySetInstanceUID);
  return { left: { ...query, ...slice, SeriesInstanceUID, displaySetInstanceUIDs }, right, pairs };
}
