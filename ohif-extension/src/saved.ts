/** The answer of POST /cbmir/save: two documents in the study of the query. */
import { record, texts } from './check';

export interface Saved {
  report: SavedDocument;
  keyObjects: SavedDocument;
}

export interface SavedDocument {
  orthancId: string;
  SOPInstanceUID: string;
  SeriesInstanceUID: string;
  viewerUrl: string;
}

export function parseSaved(json: unknown): Saved {
  const { report, keyObjects } = record(json, 'saved');
  for (const document of [report, keyObjects]) {
    texts(record(document, 'document'), 'document', 'orthancId', 'SOPInstanceUID', 'SeriesInstanceUID', 'viewerUrl');
  }
  return json as Saved;
}
