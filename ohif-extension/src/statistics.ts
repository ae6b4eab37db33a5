/** What the archive says of the nearest patients, and of the query as a whole. No probabilities of anything. */
import type { AnyCase } from './answer';
import { list, numbers, numbersOrNull, record, texts, UnexpectedAnswer } from './check';

export interface LabelShare {
  label: string;
  patients: number;
  verifiedPatients: number;
  /** Of the patients with a label, 0 to 1. */
  share: number;
  /** In which the share lies, by Wilson, 0 to 1. */
  interval: [number, number];
  /** Null where the caller may not know it. */
  archiveShare: number | null;
  enrichment: number | null;
  /** Whether the archive's share is below, in or above the interval. */
  compared: 'more' | 'alike' | 'less' | null;
}

export interface Statistics {
  /** How the figures are to be read, in words for the reader. */
  note: string;
  patients: number;
  labelled: number;
  verifiedOnly: boolean;
  labels: LabelShare[];
  /** The nearest case with a verified label other than the leading one. */
  counterExample: AnyCase | null;
}

/** The query is less like its nearest than nearly all slices of the archive. */
export interface Unusual {
  similarity: number;
  usualFrom: number;
  message: string;
}

/** Whether the archive is known well enough to tell what is unusual; if not, why. */
export interface Calibration {
  known: boolean;
  message: string | null;
}

export function checkUnusual(json: unknown): void {
  const unusual = record(json, 'unusual');
  texts(unusual, 'unusual', 'message');
  numbers(unusual, 'unusual', 'similarity', 'usualFrom');
}

export function checkCalibration(json: unknown): void {
  const { known, message } = record(json, 'calibration');
  if (typeof known !== 'boolean') throw new UnexpectedAnswer('calibration.known');
  if (message !== null && typeof message !== 'string') throw new UnexpectedAnswer('calibration.message');
}

export function checkStatistics(json: unknown, checkCase: (json: unknown) => void): void {
  const statistics = record(json, 'statistics');
  texts(statistics, 'statistics', 'note');
  numbers(statistics, 'statistics', 'patients', 'labelled');
  list(statistics.labels, 'statistics.labels').forEach(checkShare);
  if (statistics.counterExample !== null) checkCase(statistics.counterExample);
}

function checkShare(json: unknown): void {
  const share = record(json, 'share');
  texts(share, 'share', 'label');
  numbers(share, 'share', 'patients', 'share');
  numbersOrNull(share, 'share', 'archiveShare', 'enrichment');
  const interval = list(share.interval, 'interval');
  if (interval.length !== 2 || !interval.every(Number.isFinite)) throw new UnexpectedAnswer('interval');
  if (!['more', 'alike', 'less', null].includes(share.compared as string | null))
    throw new UnexpectedAnswer('compared');
}
