/** The answer of GET /cbmir/similar/<instance>, as tests/contract/similar.json shows it. DICOM names stay DICOM. */

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
  thumbnailUrl: string;
  viewerUrl?: string;
}

export interface CaseAnswer {
  rank: number;
  similarity: number;
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
  cases: CaseAnswer[];
}

/** The answer of GET /cbmir/status, as far as the panel shows it. */
export interface Status {
  state: 'starting' | 'running' | 'disabled' | 'degraded';
  reason: string | null;
  queued: number;
  indexed: number;
  etaSeconds: number | null;
}

/** Not the shape above: another server answered, or another version of the plugin. */
export class UnexpectedAnswer extends Error {}

/** The answer, checked as far as the panel depends on it. */
export function parseSimilar(json: unknown): SimilarAnswer {
  const { query, cases, model, prediction } = record(json, 'answer');
  record(model, 'model');
  if (prediction !== null) checkPrediction(prediction);
  checkSlice(query, 'query');
  for (const one of list(cases, 'cases')) checkCase(one);
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
    const { label, probability } = record(one, 'class');
    if (typeof label !== 'string' || typeof probability !== 'number') throw new UnexpectedAnswer('class');
  }
}

function checkCase(json: unknown): void {
  const { slices, labels, similarity } = record(json, 'case');
  if (typeof similarity !== 'number') throw new UnexpectedAnswer('similarity');
  list(labels, 'labels').forEach((label) => record(label, 'label'));
  if (list(slices, 'slices').length === 0) throw new UnexpectedAnswer('slices');
  for (const slice of list(slices, 'slices')) checkSlice(slice, 'slice');
}

function checkSlice(json: unknown, what: string): void {
  const slice = record(json, what);
  for (const key of ['orthancId', 'SOPInstanceUID', 'SeriesInstanceUID', 'StudyInstanceUID', 'thumbnailUrl']) {
    if (typeof slice[key] !== 'string') throw new UnexpectedAnswer(`${what}.${key}`);
  }
  if (typeof slice.frame !== 'number') throw new UnexpectedAnswer(`${what}.frame`);
}

function record(json: unknown, what: string): Record<string, unknown> {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new UnexpectedAnswer(what);
  return json as Record<string, unknown>;
}

function list(json: unknown, what: string): unknown[] {
  if (!Array.isArray(json)) throw new UnexpectedAnswer(what);
  return json;
}
