import { describe, expect, test } from 'vitest';
import { decodeCurve, encodeCurve } from '../../db/curves.ts';
import { CURVE_POINTS, curveOf, stretchOf } from '../../src/eval/curve.ts';
import { below, randomStream } from '../../src/eval/random.ts';

const LENGTHS = [1, 2, 31, 32, 33, 63, 70, 100, 300, 2000, 4999];

/** Losses of some training, from 0 to 3. */
const lossesOf = (steps: number): number[] => {
  const rng = randomStream('losses', steps);
  return Array.from({ length: steps }, () => below(3e6, rng) / 1e6);
};

describe.each(LENGTHS)('a training of %i steps', (steps) => {
  const curve = curveOf(lossesOf(steps));

  test('has as many points as steps, but not more than 32', () => {
    expect(curve).toHaveLength(Math.min(steps, 32));
    expect(CURVE_POINTS).toBe(32);
  });

  test('is cut into stretches that hold every step once and differ by one step at most', () => {
    const stretches = curve.map((_, i) => stretchOf(i, curve.length, steps));
    expect(stretches[0]![0]).toBe(0);
    expect(stretches.at(-1)![1]).toBe(steps);
    for (const [i, [start]] of stretches.slice(1).entries()) expect(start).toBe(stretches[i]![1]);
    const lengths = stretches.map(([start, end]) => end - start);
    expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(1);
  });

  test('has their means in four digits, which the database keeps', () => {
    for (const [i, loss] of curve.entries()) {
      const [start, end] = stretchOf(i, curve.length, steps);
      const part = lossesOf(steps).slice(start, end);
      const exact = part.reduce((sum, one) => sum + one, 0) / part.length;
      expect(Math.abs(loss / exact - 1)).toBeLessThan(5.001e-4);
      expect(loss.toString().replace(/^[0.]+|\./g, '').length).toBeLessThanOrEqual(4);
    }
    expect(decodeCurve(encodeCurve(curve))).toEqual(curve);
    expect(encodeCurve(curve)).toHaveLength(4 * curve.length);
  });
});

test('losses as they are where there are few', () => {
  expect(curveOf([2.345678, 0.001234567, 12345.6, 0])).toEqual([2.346, 0.001235, 12350, 0]);
});

test('what a damaged database holds is read as far as it goes', () => {
  expect(decodeCurve(Buffer.from([0, 0, 128, 63, 1]))).toEqual([1]);
  expect(decodeCurve(Buffer.alloc(0))).toEqual([]);
});
