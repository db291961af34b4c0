import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RateWindow, secondsLeft } from '../../src/search/rates.ts';

/** A window that was told of `rate` counts per second, one by one, from `from` to `to`. */
function steady(window: RateWindow, rate: number, from: number, to: number, count = 0): number {
  let counted = count;
  for (let i = 1; from + i / rate <= to; i++) window.add(from + i / rate, ++counted);
  return counted;
}

describe('the rate of a window', () => {
  test('is 0 before anything happened', () => {
    const window = new RateWindow(10, 500);
    expect(window.perSecond(10)).toBe(0);
    expect(window.perSecond(1e6)).toBe(0);
  });

  test('is the rate of what happens steadily, at any speed and at any time', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1e-3, max: 50, noNaN: true }),
        fc.integer({ min: 20, max: 400 }),
        (rate, counts) => {
          const window = new RateWindow(0, 0);
          const end = counts / rate;
          steady(window, rate, 0, end + 1e-9);
          // The first count after the start is not told apart from the last before the end.
          expect(window.perSecond(end) / rate).toBeGreaterThan(0.89);
          expect(window.perSecond(end) / rate).toBeLessThan(1.11);
        },
      ),
    );
  });

  test('forgets what lies before it', () => {
    const window = new RateWindow(0, 0);
    const count = steady(window, 20, 0, 3600);
    steady(window, 0.5, 3600, 3600 + 320, count);
    expect(window.perSecond(3920)).toBeCloseTo(0.5, 2);
  });

  test('counts what happened before a resume as nothing', () => {
    const window = new RateWindow(100, 50_000);
    steady(window, 2, 100, 110, 50_000);
    expect(window.perSecond(110)).toBeCloseTo(2, 5);
  });

  test('falls while nothing happens, and does not jump back to the whole past when something does', () => {
    const window = new RateWindow(0, 0);
    const count = steady(window, 10, 0, 1000);
    const falling = [1000, 1100, 1300, 5000, 50_000].map((at) => window.perSecond(at));
    expect(falling).toEqual([...falling].sort((a, b) => b - a));
    expect(falling.at(-1)).toBeLessThan(0.01);
    steady(window, 10, 50_000, 50_300, count);
    expect(window.perSecond(50_300)).toBeCloseTo(10, 1);
  });

  test('leaves out the time that the process slept', () => {
    const window = new RateWindow(0, 0);
    const count = steady(window, 10, 0, 1000);
    window.skip(8 * 3600);
    expect(window.perSecond(1000 + 8 * 3600)).toBeCloseTo(10, 1);
    steady(window, 10, 29_800, 29_900, count);
    expect(window.perSecond(29_900)).toBeCloseTo(10, 1);
  });

  test('is there for counts that come less than once in a window', () => {
    const window = new RateWindow(0, 0);
    for (let hour = 1; hour <= 48; hour++) window.add(3600 * hour, hour);
    expect(3600 * window.perSecond(48 * 3600)).toBeCloseTo(1, 5);
    expect(3600 * window.perSecond(48 * 3600 + 1800)).toBeCloseTo(10 / 10.5, 5);
  });
});

describe('the time left', () => {
  const perSecond = { proposals: 2, evaluations: 0.1 };
  const at = { proposals: 100, evaluations: 5, seconds: 60 };

  test.each([
    [{ proposals: 300 }, 100],
    [{ proposals: 300, evaluations: 10 }, 50],
    [{ proposals: 300, evaluations: 10, seconds: 90 }, 30],
    [{ proposals: 50 }, 0],
    [{}, Number.POSITIVE_INFINITY],
  ])('until the nearest of %j is %d', (limits, seconds) => {
    expect(secondsLeft(limits, at, perSecond)).toBeCloseTo(seconds, 9);
  });

  test('is unknown at rate 0, and 0 where the goal is reached at rate 0', () => {
    const still = { proposals: 0, evaluations: 0 };
    expect(secondsLeft({ proposals: 300 }, at, still)).toBe(Number.POSITIVE_INFINITY);
    expect(secondsLeft({ proposals: 100 }, at, still)).toBe(0);
    expect(secondsLeft({ proposals: 0 }, { ...at, proposals: 0 }, still)).toBe(0);
  });
});
