import { describe, expect, it, vi } from 'vitest';

import { heatAnswer } from '../testing/answers';
import { colourOf, paint, scaleOf } from './heatColours';

const SCALE = { average: 0.1, most: 0.5 };

describe('colours', () => {
  it('leave a place clear that gives no more than the average place', () => {
    expect(colourOf(0.1, SCALE)[3]).toBe(0);
    expect(colourOf(0.02, SCALE)[3]).toBe(0);
    expect(colourOf(0, SCALE)[3]).toBe(0);
  });

  it('are the fullest where a place gives most, and grow steadily up to it', () => {
    const opacities = [0.15, 0.2, 0.3, 0.4, 0.5].map((value) => colourOf(value, SCALE)[3]);
    expect(opacities).toEqual([...opacities].sort((a, b) => a - b));
    expect(opacities.at(-1)).toBe(255);
  });

  it('are blue for what lowers the similarity', () => {
    const [red, , blue, opacity] = colourOf(-0.5, SCALE);
    expect(blue).toBeGreaterThan(red);
    expect(opacity).toBe(255);
  });

  it('stay in their range, whatever the values', () => {
    for (const value of [-9, -0.1, 0, 0.5, 9]) {
      for (const scale of [SCALE, { average: 0, most: 0 }, { average: 0.1, most: -0.2 }]) {
        const [red, green, blue, opacity] = colourOf(value, scale);
        for (const channel of [red, green, blue, opacity]) expect(Number.isNaN(channel)).toBe(false);
        expect(opacity).toBeLessThanOrEqual(255);
      }
    }
  });
});

it('have one scale for both pictures', () => {
  const answer = heatAnswer(0.8);
  answer.against.overlay = [[0.1, 0.7]];
  expect(scaleOf(answer)).toEqual({ average: 0.2, most: 0.7 });
});

it('are painted one pixel per value, row by row', () => {
  const putImageData = vi.fn();
  const createImageData = (width: number, height: number) => ({ data: new Uint8ClampedArray(4 * width * height) });
  vi.spyOn(HTMLCanvasElement.prototype, 'getContext').mockReturnValue({ createImageData, putImageData } as never);
  const overlay = [
    [0.5, 0, 0],
    [0, 0, -0.5],
  ];
  const canvas = paint({ cells: [], overlay }, SCALE);
  expect([canvas?.width, canvas?.height]).toEqual([3, 2]);
  const [{ data }] = putImageData.mock.calls[0] as [{ data: Uint8ClampedArray }];
  expect([...data].filter((_, index) => index % 4 === 3)).toEqual([255, 0, 0, 0, 0, 255]);
});

it('are done without where the browser cannot paint', () => {
  vi.spyOn(HTMLCanvasElement.prototype, 'getContext').mockReturnValue(null);
  expect(paint({ cells: [], overlay: [[1]] }, SCALE)).toBeNull();
});
