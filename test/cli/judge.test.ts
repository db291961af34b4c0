import { describe, expect, test } from 'vitest';
import { closest, judge, type Trialled } from '../../src/cli/confirm/judge.ts';
import { mean } from '../../src/reading/statistics.ts';

/** What the batches of a seed do to every layer. */
const SEEDS = [0.02, -0.03, 0.01, 0.04, -0.05, 0, 0.03, -0.02];
const wobble = (layer: number) => SEEDS.map((_, seed) => 0.001 * (((layer + 3) * (seed + 2)) % 5));

const layer = (title: string, level: number, isKnown: boolean, n: number): Trialled => ({
  ...{ title, isKnown },
  accuracies: [0, 0.1].map((cell) => SEEDS.map((luck, s) => level + cell + luck + wobble(n)[s]!)),
});

const BASELINES = [layer('BN-ReLU', 0.7, true, 0), layer('BN-SiLU', 0.72, true, 1)];

describe('judge', () => {
  test('confirms what is better than every known layer, though seeds differ by more', () => {
    const judged = judge([
      layer('good', 0.75, false, 2),
      layer('same', 0.72, false, 3),
      ...BASELINES,
    ]);
    expect(judged.map(({ title }) => title)[0]).toBe('good');
    const verdicts = Object.fromEntries(judged.map(({ title, confirmed }) => [title, confirmed]));
    expect(verdicts).toEqual({ good: true, same: false, 'BN-ReLU': false, 'BN-SiLU': false });
    const [good] = judged;
    expect(closest(good!)).toMatchObject({ baseline: 'BN-SiLU' });
    expect(good!.perCell.map(({ accuracy }) => accuracy)).toEqual([
      expect.closeTo(mean(layer('', 0.75, false, 2).accuracies[0]!), 12),
      expect.closeTo(mean(layer('', 0.75, false, 2).accuracies[1]!), 12),
    ]);
    // Seed by seed the difference hardly varies; each by itself does.
    const [low, high] = closest(good!)!.interval;
    expect(high - low).toBeLessThan((good!.interval![1] - good!.interval![0]) / 5);
  });

  test('confirms nothing that is significantly worse, or better than some', () => {
    const judged = judge([
      layer('worse', 0.6, false, 2),
      layer('between', 0.71, false, 3),
      ...BASELINES,
    ]);
    expect(judged.some(({ confirmed }) => confirmed)).toBe(false);
    const between = judged.find(({ title }) => title === 'between')!;
    expect(between.comparisons.map(({ difference }) => Math.sign(difference))).toEqual([1, -1]);
  });

  test('corrects for all comparisons together', () => {
    const many = Array.from({ length: 6 }, (_, i) => layer(`l${i}`, 0.721, false, i + 2));
    const alone = judge([many[0]!, ...BASELINES]).find(({ title }) => title === 'l0')!;
    const crowd = judge([...many, ...BASELINES]).find(({ title }) => title === 'l0')!;
    expect(crowd.comparisons[1]!.p).toBeCloseTo(alone.comparisons[1]!.p, 12);
    expect(crowd.comparisons[1]!.corrected).toBeGreaterThan(alone.comparisons[1]!.corrected);
  });

  test('compares no known layers, and nothing where there are none', () => {
    expect(judge(BASELINES).flatMap(({ comparisons }) => comparisons)).toEqual([]);
    const [only] = judge([layer('only', 0.9, false, 1)]);
    expect(only).toMatchObject({ comparisons: [], confirmed: false });
    expect(closest(only!)).toBeNull();
  });
});
