import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  holm,
  intervalOf,
  mean,
  pairedTest,
  variance,
  welch,
} from '../../src/reading/statistics.ts';

// Quantiles from the table of Student (two-sided, 95 %).
test.each([
  [1, 12.7062],
  [2, 4.3027],
  [4, 2.7764],
  [9, 2.2622],
  [29, 2.0452],
])('with %d degrees of freedom the interval has the quantile %d', (freedom, quantile) => {
  const values = Array.from({ length: freedom + 1 }, (_, i) => i % 2);
  const [low, high] = intervalOf(values)!;
  const error = Math.sqrt(variance(values) / values.length);
  expect((high - low) / 2 / error).toBeCloseTo(quantile, 3);
  expect((high + low) / 2).toBeCloseTo(mean(values), 12);
});

test('one value says nothing of its error', () => {
  expect(intervalOf([0.9])).toBeNull();
  expect(welch([0.9], [0.8, 0.7])).toBeNull();
  expect(welch([0.9, 0.8], [0.7])).toBeNull();
});

test('Welch’s test agrees with numerical integration', () => {
  // The density of t, integrated by Simpson's rule in Python.
  const a = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6];
  const b = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1];
  const test = welch(a, b)!;
  expect(test.difference).toBeCloseTo(2.2333333333, 8);
  expect(test.degreesOfFreedom).toBeCloseTo(18.9378426026, 8);
  expect(test.p).toBeCloseTo(0.0503877166, 8);
  expect(test.interval[0]).toBeCloseTo(-0.0041778311, 7);
  expect(test.interval[1]).toBeCloseTo(4.4708444978, 7);
});

test('Welch’s test is antisymmetric, and its interval holds 0 where p is above 5 %', () => {
  const values = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), {
    minLength: 2,
    maxLength: 9,
  });
  fc.assert(
    fc.property(values, values, (a, b) => {
      const [there, back] = [welch(a, b)!, welch(b, a)!];
      fc.pre(variance(a) + variance(b) > 1e-6);
      expect(there.difference).toBeCloseTo(-back.difference, 12);
      expect(there.p).toBeCloseTo(back.p, 8);
      const [low, high] = there.interval;
      if (Math.abs(there.p - 0.05) > 1e-6) expect(low <= 0 && high >= 0).toBe(there.p > 0.05);
    }),
  );
});

test('the paired test gives what R gives for Student’s sleep data', () => {
  const test = pairedTest([1.2, 2.4, 1.3, 1.3, 0, 1, 1.8, 0.8, 4.6, 1.4]);
  expect(test.difference).toBeCloseTo(1.58, 12);
  expect(test.p).toBeCloseTo(0.00283289, 8);
  expect(test.interval[0]).toBeCloseTo(0.7001142, 7);
  expect(test.interval[1]).toBeCloseTo(2.4598858, 7);
  expect(pairedTest([0.5, 0.5, 0.5])).toEqual({ difference: 0.5, interval: [0.5, 0.5], p: 0 });
  expect(pairedTest([0, 0]).p).toBe(1);
});

test('Holm’s correction names at most one in twenty families wrongly, and rejects what Bonferroni does', () => {
  expect(holm([0.01, 0.04, 0.03, 0.005]).map((p) => Number(p.toFixed(12)))).toEqual([
    0.03, 0.06, 0.06, 0.02,
  ]);
  expect(holm([])).toEqual([]);
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1 }), (ps) => {
      const corrected = holm(ps);
      for (const [i, p] of ps.entries()) {
        expect(corrected[i]).toBeGreaterThanOrEqual(p);
        expect(corrected[i]).toBeLessThanOrEqual(Math.min(1, ps.length * p));
        for (const [k, other] of ps.entries())
          if (p < other) expect(corrected[i]).toBeLessThanOrEqual(corrected[k]!);
      }
    }),
  );
  // Six tests of nothing: uniform p-values from a low-discrepancy sequence in six dimensions.
  const roots = [2, 3, 5, 7, 11, 13].map((prime) => Math.sqrt(prime) % 1);
  const families = Array.from({ length: 20_000 }, (_, n) => roots.map((root) => (n * root) % 1));
  const wrong = families.filter((ps) => holm(ps).some((p) => p < 0.05)).length;
  expect(wrong / families.length).toBeLessThanOrEqual(0.052);
  expect(wrong / families.length).toBeGreaterThan(0.04);
});
