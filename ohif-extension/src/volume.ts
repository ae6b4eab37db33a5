/** A series or study as a query, and what each of its slices found in a case. */
import type { SliceAnswer } from './answer';
import { list, numbers, record, texts } from './check';
import type { SliceName } from './viewer/imageId';

export interface Volume {
  level: 'series' | 'study';
  instances: number;
  indexed: number;
  /** What the reader should know, such as slices that are not indexed yet. */
  message: string | null;
  series: VolumeSeries[];
}

export interface VolumeSeries {
  SeriesInstanceUID: string;
  sequence: string | null;
  plane: string | null;
  /** Those compared: of a long series not all. */
  slices: SliceName[];
}

/** What the slices of one series of the query found, all in one series of the case. */
export interface Match {
  /** Place in `Volume.series`. */
  query: number;
  SeriesInstanceUID: string;
  StudyInstanceUID: string;
  similarity: number;
  /** In the order of the query's slices. */
  slices: MatchedSlice[];
}

export interface MatchedSlice extends SliceName {
  orthancId: string;
  similarity: number;
}

/** Two slices that belong side by side, and all that belong so in their series. */
export interface Pairing {
  /** Of the query. */
  left: { SeriesInstanceUID: string; slice: SliceName };
  right: MatchedSlice & { SeriesInstanceUID: string; StudyInstanceUID: string };
  pairs: [left: SliceName, right: SliceName][];
}

export function checkVolume(json: unknown): void {
  const volume = record(json, 'volume');
  texts(volume, 'volume', 'level');
  numbers(volume, 'volume', 'instances', 'indexed');
  for (const one of list(volume.series, 'volume.series')) {
    const series = record(one, 'volume.series');
    texts(series, 'volume.series', 'SeriesInstanceUID');
    list(series.slices, 'volume.slices').forEach(checkName);
  }
}

export function checkMatch(json: unknown): void {
  const match = record(json, 'match');
  texts(match, 'match', 'SeriesInstanceUID', 'StudyInstanceUID');
  numbers(match, 'match', 'query', 'similarity');
  for (const slice of list(match.slices, 'match.slices')) {
    checkName(slice);
    texts(record(slice, 'match.slice'), 'match.slice', 'orthancId');
    numbers(record(slice, 'match.slice'), 'match.slice', 'similarity');
  }
}

function checkName(json: unknown): void {
  const slice = record(json, 'slice');
  texts(slice, 'slice', 'SOPInstanceUID');
  numbers(slice, 'slice', 'frame');
}

/** What a slice of the query found; what the slices of another series of it found, where its own found nothing. */
export function pairingFrom(
  volume: Volume,
  matches: Match[],
  query: SliceName & { SeriesInstanceUID: string },
): Pairing | null {
  const of = (match: Match) => volume.series[match.query];
  const match = matches.find((one) => of(one)?.SeriesInstanceUID === query.SeriesInstanceUID) ?? matches[0];
  const at = match && of(match)?.slices.findIndex((slice) => isSame(slice, query));
  return match ? pairing(volume, match, at === undefined || at < 0 ? nearest(match) : at) : null;
}

/** What in the query found a slice of the case. */
export function pairingTo(volume: Volume, matches: Match[], found: SliceAnswer): Pairing | null {
  for (const match of matches) {
    const at = match.slices.findIndex((slice) => isSame(slice, found));
    if (at >= 0) return pairing(volume, match, at);
  }
  return null;
}

function pairing(volume: Volume, match: Match, at: number): Pairing | null {
  const series = volume.series[match.query];
  const [left, right] = [series?.slices[at], match.slices[at]];
  if (!series || !left || !right) return null;
  const { SeriesInstanceUID, StudyInstanceUID } = match;
  return {
    left: { SeriesInstanceUID: series.SeriesInstanceUID, slice: left },
    right: { ...right, SeriesInstanceUID, StudyInstanceUID },
    pairs: series.slices.flatMap((slice, place) => {
      const found = match.slices[place];
      return found ? [[slice, found]] : [];
    }),
  };
}

/** The place of the slice that found the most similar one, where that asked about found none. */
function nearest({ slices }: Match): number {
  return slices.reduce((best, slice, at) => (slice.similarity > (slices[best]?.similarity ?? -2) ? at : best), 0);
}

function isSame(one: SliceName, other: SliceName): boolean {
  return one.SOPInstanceUID === other.SOPInstanceUID && one.frame === other.frame;
}
