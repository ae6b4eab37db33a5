/** What stands on the contact sheet: pictures, similarities, labels, sequences, and nothing that says who or when. */
import type { AnyCase, SimilarAnswer } from '../answer';
import { formatNearness, line } from '../format';
import { text } from '../text';
import type { CurrentImage } from '../viewer/currentImage';

export interface Tile {
  caption: string;
  /** Address of the picture. */
  picture: string | null;
  /** On the picture, as shares of its side; where a region was searched with. */
  outline: readonly (readonly [number, number])[];
  lines: string[];
}

export interface Sheet {
  title: string;
  subtitle: string;
  query: Tile;
  hits: Tile[];
  footer: string;
}

/** Pixels of a picture on the sheet; those on the cards are smaller. */
export const PICTURE_SIDE = 384;

export function sheetOf({ query, model }: SimilarAnswer, current: CurrentImage, cases: readonly AnyCase[]): Sheet {
  const region = current.region;
  return {
    title: text.sheetTitle,
    subtitle: text.sheetHow(model.name),
    query: {
      caption: region ? text.regionQuery : text.query,
      // The region lies on the picture as the reader saw it.
      picture: region ? current.picture : larger(query.thumbnailUrl),
      outline: region?.outline ?? [],
      lines: [line(query.Modality, query.SeriesDescription), ...query.labels.map(({ label }) => label)],
    },
    hits: cases.map((one, index) => ({
      caption: text.sheetHit(one.rank ?? index + 1, formatNearness(one)),
      picture: larger(one.slices[0]?.thumbnailUrl ?? null),
      outline: [],
      lines: [
        line(one.Modality, one.SeriesDescription),
        ...new Set(one.labels.map(({ label, provenance }) => line(label, provenance))),
      ],
    })),
    footer: text.disclaimer,
  };
}

/** The same picture with more pixels, where its size can be asked for. */
function larger(url: string | null): string | null {
  return url && url.replace(/([?&](?:width|height)=)\d+/g, `$1${PICTURE_SIDE}`);
}
