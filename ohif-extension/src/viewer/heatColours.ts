/**
 * Colours of a heat map. Places that give no more than the average place are left clear: the picture is to be seen, and
 * what is equal everywhere explains nothing. More is orange to yellow; a place that lowers the similarity is blue.
 */
import type { HeatAnswer, HeatMap } from '../heatAnswer';

type Colour = readonly [number, number, number];

const LITTLE: Colour = [214, 64, 16];
const MOST: Colour = [255, 226, 92];
const LOWERS: Colour = [56, 148, 255];

/** The two ends of the scale; both pictures have the same, so that their colours can be compared. */
export interface Scale {
  average: number;
  most: number;
}

export function scaleOf({ similarity, query, against }: HeatAnswer): Scale {
  const most = Math.max(...[query, against].flatMap(({ overlay }) => overlay.flat()));
  const places = Math.max(query.cells.flat().length, against.cells.flat().length);
  return { average: Math.max(similarity / places, 0), most };
}

/** Red, green, blue and opacity, each 0 to 255. */
export function colourOf(value: number, { average, most }: Scale): [number, number, number, number] {
  if (value < 0) return [...LOWERS, opacity(-value / Math.max(most, Number.MIN_VALUE))];
  const share = most > average ? Math.max((value - average) / (most - average), 0) : 0;
  const between = (channel: 0 | 1 | 2) => Math.round(LITTLE[channel] + share * (MOST[channel] - LITTLE[channel]));
  return [between(0), between(1), between(2), opacity(share)];
}

/** A canvas with one pixel per value; null where the browser gives none. */
export function paint({ overlay }: HeatMap, scale: Scale): HTMLCanvasElement | null {
  const canvas = document.createElement('canvas');
  canvas.height = overlay.length;
  canvas.width = overlay[0]?.length ?? 0;
  const context = canvas.getContext('2d');
  if (!context) return null;
  const picture = context.createImageData(canvas.width, canvas.height);
  picture.data.set(overlay.flat().flatMap((value) => colourOf(value, scale)));
  context.putImageData(picture, 0, 0);
  return canvas;
}

/** Rises faster than the share, so that half of the most is well seen. */
function opacity(share: number): number {
  return Math.round(255 * Math.sqrt(Math.min(share, 1)));
}
