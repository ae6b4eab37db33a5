import { expect, it } from 'vitest';

import type { Instance } from '../ohif';
import { series } from '../testing/viewerDouble';
import { commonPositions, nearest, normalOf } from './geometry';

const SAGITTAL = [0, 1, 0, 0, 0, -1];
const UPSIDE_DOWN = [1, 0, 0, 0, -1, 0];

function turned(instances: Instance[], ImageOrientationPatient: number[]): Instance[] {
  return instances.map((instance) => ({ ...instance, ImageOrientationPatient }));
}

it('takes the normal of an axial slice as the direction of the head', () => {
  expect(normalOf(series('1.1', 1)[0])).toEqual([0, 0, 1]);
  expect(normalOf({})).toBeNull();
  expect(normalOf({ ImageOrientationPatient: [1, 0, 0] })).toBeNull();
});

it('gives positions in mm along one axis, also where one stack counts the other way round', () => {
  expect(commonPositions(series('1.1', 3), series('2.1', 2, 3))).toEqual([
    [0, 5, 10],
    [0, 3],
  ]);
  const [left, right] = commonPositions(series('1.1', 3), turned(series('2.1', 3), UPSIDE_DOWN)) ?? [];
  expect(right).toEqual(left);
});

it('gives none where positions say nothing', () => {
  const axial = series('1.1', 3);
  expect(commonPositions(axial, turned(series('2.1', 3), SAGITTAL))).toBeNull();
  expect(commonPositions(axial, [{}, {}])).toBeNull();
  expect(commonPositions(axial, series('2.1', 3, 0))).toBeNull();
  expect(commonPositions([], axial)).toBeNull();
});

it('finds the nearest position', () => {
  expect(nearest([0, 5, 10], 6)).toBe(1);
  expect(nearest([0, 5, 10], 99)).toBe(2);
  expect(nearest([10, 5, 0], -3)).toBe(2);
});
