/** From the reader's options and the query slice to a request. */
import type { QueryAnswer } from './answer';
import type { HeatRequest, Selection, SimilarRequest } from './cbmirClient';
import { dateRange, type Options } from './options';
import type { Refinement } from './marks';
import type { CurrentImage } from './viewer/currentImage';
import { roi } from './viewer/region';

/** A slice as the archive's REST API names it. */
export interface SliceRef {
  orthancId: string;
  frame: number;
}

/** At least one letter, in DICOM's wildcard matching: a lone `*` would match cases without a label too. */
const ANY = '?*';

/** Enough to find the patient's other studies, one card each. */
const PRIORS = 10;

export function similarRequest(
  query: CurrentImage,
  options: Options,
  refinement: Refinement | null = null,
): SimilarRequest {
  const { Modality, SeriesDescription, scope } = query;
  const { k, group, sameModality, sameSequence, labelledOnly, sameClass, verifiedOnly, from, to } = options;
  const StudyDate = dateRange(from, to);
  return {
    ...{ ...asked(query), k, group, samePatient: 'exclude' },
    ...(sameModality && Modality ? { Modality } : {}),
    ...(sameSequence && SeriesDescription ? { SeriesDescription: literally(SeriesDescription) } : {}),
    ...(labelledOnly ? { label: ANY } : {}),
    ...(sameClass && !scope ? { class: 'predicted' } : {}),
    ...(verifiedOnly ? { verified: 'true' } : {}),
    ...(StudyDate ? { StudyDate } : {}),
    ...(scope ? {} : refinement),
  };
}

/**
 * A pattern for just this text: what is not a letter, digit, dot or dash becomes "?", any one character. An asterisk, as in
 * "T2* TRA", would be a wildcard, and Orthanc 1.10 hands percent-encoded characters to plugins as they are.
 */
function literally(text: string): string {
  return text.replace(/[^\w.-]/g, '?');
}

export function priorsRequest(query: CurrentImage): SimilarRequest {
  return { ...asked(query), k: PRIORS, group: 'study', samePatient: 'only' };
}

export function heatRequest(query: CurrentImage, { orthancId, frame }: SliceRef): HeatRequest {
  const { SOPInstanceUID } = query;
  return { SOPInstanceUID, frame: query.frame, ...regionOf(query), against: orthancId, againstFrame: frame };
}

/** The query, the case's slices chosen, and the region, as they were searched with. */
export function selectionOf(query: CurrentImage, asked: QueryAnswer, hits: SliceRef[]): Selection {
  return {
    query: { instance: asked.orthancId, frame: asked.frame, ...regionOf(query) },
    hits: hits.map(({ orthancId, frame }) => ({ instance: orthancId, frame })),
  };
}

function asked(query: CurrentImage): Pick<SimilarRequest, 'uid' | 'frame' | 'roi'> {
  const { scope, SOPInstanceUID, SeriesInstanceUID, StudyInstanceUID, frame } = query;
  if (scope) return { uid: scope === 'series' ? SeriesInstanceUID : StudyInstanceUID };
  return { uid: SOPInstanceUID, frame, ...regionOf(query) };
}

function regionOf({ region }: CurrentImage): { roi?: string } {
  return region ? { roi: roi(region) } : {};
}
