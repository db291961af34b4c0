import { expect, test } from 'vitest';
import { learningRateAt } from '../../src/eval/schedule.ts';

const rates = (schedule: 'constant' | 'cosine') =>
  [0, 1, 2, 3].map((step) => learningRateAt(schedule, 0.1, step, 4));

test('a constant rate stays', () => {
  expect(rates('constant')).toEqual([0.1, 0.1, 0.1, 0.1]);
});

test('a cosine rate starts in full, is halved half-way, and reaches 0 after the last step', () => {
  const [first, second, third, last] = rates('cosine');
  expect(first).toBe(0.1);
  expect(second).toBeCloseTo(0.05 * (1 + Math.SQRT1_2), 12);
  expect(third).toBeCloseTo(0.05, 12);
  expect(last).toBeCloseTo(0.05 * (1 - Math.SQRT1_2), 12);
  expect(learningRateAt('cosine', 0.1, 4, 4)).toBe(0);
});
