/** From the reader's options and the query slice to a request. */
import type { SliceAnswer } from './answer';
import type { HeatRequest, SimilarRequest } from './cbmirClient';
import { dateRange, type Options } from './options';
import type { Refinement } from './marks';
import type { CurrentImage } from './viewer/currentImage';
import { roi } from './viewer/region';

/** At least one letter, in DICOM's wildcard matching: a lone `*` would match cases without a label too. */
const ANY = '?*';

/** Enough to find the patient's other studies, one card each. */
const PRIORS = 10;

export function similarRequest(
  query: CurrentImage,
  options: Options,
  refinement: Refinement | null = null,
): SimilarRequest {
  const { SOPInstanceUID, frame, Modality, SeriesDescription } = query;
  const { k, group, sameModality, sameSequence, labelledOnly, sameClass, from, to } = options;
  const StudyDate = dateRange(from, to);
  return {
    ...{ SOPInstanceUID, frame, k, group, samePatient: 'exclude' },
    ...(sameModality && Modality ? { Modality } : {}),
    ...(sameSequence && SeriesDescription ? { SeriesDescription: literally(SeriesDescription) } : {}),
    ...(labelledOnly ? { label: ANY } : {}),
    ...(sameClass ? { class: 'predicted' } : {}),
    ...(StudyDate ? { StudyDate } : {}),
    ...regionOf(query),
    ...refinement,
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
  const { SOPInstanceUID, frame } = query;
  return { SOPInstanceUID, frame, k: PRIORS, group: 'study', samePatient: 'only', ...regionOf(query) };
}

export function heatRequest(query: CurrentImage, { orthancId, frame }: SliceAnswer): HeatRequest {
  const { SOPInstanceUID } = query;
  return { SOPInstanceUID, frame: query.frame, ...regionOf(query), against: orthancId, againstFrame: frame };
}

function regionOf({ region }: CurrentImage): { roi?: string } {
  return region ? { roi: roi(region) } : {};
}
