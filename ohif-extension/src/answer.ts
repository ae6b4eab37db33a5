/** The answer of GET /cbmir/similar/<instance>, as tests/contract/similar.json shows it. DICOM names stay DICOM. */

import { list, numbers, numbersOrNull, record, texts, UnexpectedAnswer } from './check';
import {
  checkCalibration,
  checkStatistics,
  checkUnusual,
  type Calibration,
  type Statistics,
  type Unusual,
} from './statistics';
import { checkMatch, checkVolume, type Match, type Volume } from './volume';

export interface Label {
  label: string;
  /** Where the label comes from: histology, report, a person; null when the archive does not say. */
  provenance: string | null;
}

/** Absent in anonymous mode, as is StudyDate. */
export interface Patient {
  PatientName?: string | null;
  PatientID?: string | null;
  PatientSex?: string | null;
  /** DICOM age string: 054Y, 018M. */
  PatientAge?: string | null;
}

export interface SliceAnswer {
  orthancId: string;
  SOPInstanceUID: string;
  SeriesInstanceUID: string;
  StudyInstanceUID: string;
  /** Counted from 1, as DICOM does. */
  frame: number;
  similarity: number;
  /** So many percent of the archive's slices have a nearest slice less similar than this; null where not known. */
  percentile: number | null;
  thumbnailUrl: string;
  viewerUrl?: string;
}

export interface AnyCase {
  /** Null for a counter-example that is not among the cases shown. */
  rank: number | null;
  similarity: number;
  percentile: number | null;
  StudyInstanceUID: string;
  SeriesInstanceUID: string;
  Modality?: string | null;
  SeriesDescription?: string | null;
  StudyDescription?: string | null;
  StudyDate?: string | null;
  labels: Label[];
  patient?: Patient | null;
  /** Where the first lines of the study's report are; null or absent where there is none. */
  reportUrl?: string | null;
  /** Best first; never empty. */
  slices: SliceAnswer[];
  /** What each slice of the series or study that was asked about found here; absent where a slice was. */
  match?: Match[];
}

export interface CaseAnswer extends AnyCase {
  rank: number;
}

export interface QueryAnswer {
  orthancId: string;
  frame: number;
  numberOfFrames: number;
  indexed: boolean;
  SOPInstanceUID: string;
  SeriesInstanceUID: string;
  StudyInstanceUID: string;
  Modality?: string | null;
  SeriesDescription?: string | null;
  StudyDescription?: string | null;
  StudyDate?: string | null;
  labels: Label[];
  patient?: Patient | null;
  thumbnailUrl: string;
}

/** Which of the network's classes the query looks most like: its pictures are compared, nothing is diagnosed. */
export interface Prediction {
  /** Null where it is far from all classes. */
  looksMostLike: string | null;
  /** The likeliest first; probabilities from 0 to 1. */
  classes: { label: string; probability: number }[];
}

export interface SimilarAnswer {
  model: { id: string; name: string };
  query: QueryAnswer;
  /** Null where the model tells no classes apart. */
  prediction: Prediction | null;
  /** Why there are no cases, in words for the reader. */
  message: string | null;
  /** That the query is far from all of the archive; null where it is not, or where that is not known. */
  unusual: Unusual | null;
  calibration: Calibration;
  /** Null where the cases were chosen by label, class or patient. */
  statistics: Statistics | null;
  cases: CaseAnswer[];
  /** The series or study that was asked about; absent where a slice was. */
  volume?: Volume;
}

/** The answer of GET /cbmir/status, as far as the panel shows it. */
export interface Status {
  state: 'starting' | 'running' | 'disabled' | 'degraded';
  reason: string | null;
  queued: number;
  indexed: number;
  etaSeconds: number | null;
}

/** The answer, checked as far as the panel depends on it. */
export function parseSimilar(json: unknown): SimilarAnswer {
  const { query, cases, model, prediction, unusual, calibration, statistics, volume } = record(json, 'answer');
  record(model, 'model');
  if (prediction !== null) checkPrediction(prediction);
  if (unusual !== null) checkUnusual(unusual);
  checkCalibration(calibration);
  if (statistics !== null) checkStatistics(statistics, checkCase);
  if (volume !== undefined) checkVolume(volume);
  checkSlice(query, 'query');
  for (const one of list(cases, 'cases')) {
    checkCase(one);
    numbers(record(one, 'case'), 'case', 'rank');
  }
  return json as SimilarAnswer;
}

export function parseStatus(json: unknown): Status {
  const { state, reason, queued, indexed, etaSeconds } = record(json, 'status');
  if (typeof state !== 'string') throw new UnexpectedAnswer('state');
  return {
    state: state as Status['state'],
    reason: typeof reason === 'string' ? reason : null,
    queued: typeof queued === 'number' ? queued : 0,
    indexed: typeof indexed === 'number' ? indexed : 0,
    etaSeconds: typeof etaSeconds === 'number' ? etaSeconds : null,
  };
}

/** The lines of GET /cbmir/report/<study>. */
export function parseReport(json: unknown): string[] {
  const lines = list(record(json, 'report').lines, 'lines');
  if (!lines.every((line) => typeof line === 'string')) throw new UnexpectedAnswer('lines');
  return lines;
}

function checkPrediction(json: unknown): void {
  for (const one of list(record(json, 'prediction').classes, 'classes')) {
    const share = record(one, 'class');
    texts(share, 'class', 'label');
    numbers(share, 'class', 'probability');
  }
}

function checkCase(json: unknown): void {
  const one = record(json, 'case');
  numbers(one, 'case', 'similarity');
  numbersOrNull(one, 'case', 'rank', 'percentile');
  list(one.labels, 'labels').forEach((label) => record(label, 'label'));
  if (list(one.slices, 'slices').length === 0) throw new UnexpectedAnswer('slices');
  for (const slice of list(one.slices, 'slices')) {
    checkSlice(slice, 'slice');
    numbers(record(slice, 'slice'), 'slice', 'similarity');
    numbersOrNull(record(slice, 'slice'), 'slice', 'percentile');
  }
  if (one.match !== undefined) list(one.match, 'match').forEach(checkMatch);
}

function checkSlice(json: unknown, what: string): void {
  const slice = record(json, what);
  texts(slice, what, 'orthancId', 'SOPInstanceUID', 'SeriesInstanceUID', 'StudyInstanceUID', 'thumbnailUrl');
  numbers(slice, what, 'frame');
}
