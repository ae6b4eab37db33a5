/** Slice positions in mm, for scrolling two series of different spacing together. */
import type { Instance } from '../ohif';

type Vector = readonly [number, number, number];

/** Cosine of 45°: planes further apart are no longer the same orientation. */
const PARALLEL = Math.SQRT1_2;

/** The unit normal of the slice plane: row direction × column direction (PS3.3 C.7.6.2.1.1). */
export function normalOf(instance: Instance | undefined): Vector | null {
  const o = instance?.ImageOrientationPatient?.map(Number);
  if (o?.length !== 6 || !o.every(Number.isFinite)) return null;
  const [a, b, c, d, e, f] = o as [number, number, number, number, number, number];
  return [b * f - c * e, c * d - a * f, a * e - b * d];
}

/**
 * Positions of two stacks along one common axis, in mm; null unless both are complete, each stack has one place per
 * slice, and the planes are roughly parallel. Between patients only differences of positions have a meaning.
 */
export function commonPositions(
  left: (Instance | undefined)[],
  right: (Instance | undefined)[],
): [number[], number[]] | null {
  const [n, m] = [normalOf(left[0]), normalOf(right[0])];
  if (!n || !m) return null;
  const cosine = dot(n, m);
  if (Math.abs(cosine) < PARALLEL) return null;
  const positions = [along(left, n), along(right, cosine < 0 ? [-m[0], -m[1], -m[2]] : m)] as const;
  return positions[0] && positions[1] ? [positions[0], positions[1]] : null;
}

/** Index of the position closest to `target`. */
export function nearest(positions: number[], target: number): number {
  let best = 0;
  positions.forEach((position, index) => {
    if (Math.abs(position - target) < Math.abs((positions[best] ?? Infinity) - target)) best = index;
  });
  return best;
}

function along(instances: (Instance | undefined)[], axis: Vector): number[] | null {
  const positions: number[] = [];
  for (const instance of instances) {
    const p = instance?.ImagePositionPatient?.map(Number);
    if (p?.length !== 3 || !p.every(Number.isFinite)) return null;
    positions.push(dot(p as [number, number, number], axis));
  }
  // Several slices at one place (time series, frames of one instance): the index is the better guide.
  return new Set(positions).size === positions.length ? positions : null;
}

function dot(a: Vector, b: Vector): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}
