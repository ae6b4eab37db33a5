/** The answer of GET /cbmir/heatmap/<instance>: what each place of two slices gives to their similarity. */
import { UnexpectedAnswer } from './check';

export interface HeatMap {
  /** What each place gives; all together are the similarity. */
  cells: number[][];
  /** The same as it lies on the stored picture: equal parts of its whole extent, row by row. */
  overlay: number[][];
}

export interface HeatAnswer {
  similarity: number;
  query: HeatMap;
  against: HeatMap;
}

export function parseHeat(json: unknown): HeatAnswer {
  const { similarity, query, against } = (json ?? {}) as Record<string, unknown>;
  if (typeof similarity !== 'number') throw new UnexpectedAnswer('similarity');
  return { similarity, query: heatMap(query), against: heatMap(against) };
}

function heatMap(json: unknown): HeatMap {
  const { cells, overlay } = (json ?? {}) as Record<string, unknown>;
  return { cells: table(cells), overlay: table(overlay) };
}

/** Rows of equal length, at least one. */
function table(json: unknown): number[][] {
  const rows = (Array.isArray(json) ? json : []) as unknown[];
  const columns = Array.isArray(rows[0]) ? rows[0].length : 0;
  const isRow = (row: unknown) => Array.isArray(row) && row.length === columns && row.every(Number.isFinite);
  if (columns === 0 || !rows.every(isRow)) throw new UnexpectedAnswer('table');
  return rows as number[][];
}
