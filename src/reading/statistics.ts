import { createRequire } from 'node:module';
import type { JStat } from 'jstat';

/** Loaded when it is first needed: most leaderboards have single evaluations, and start sooner without it. */
let loaded: JStat | undefined;
function jStat(): JStat {
  loaded ??= createRequire(import.meta.url)('jstat') as JStat;
  return loaded;
}
const studentT = () => jStat().studentt;

/** How sure the intervals are. */
export const CONFIDENCE = 0.95;

/** The ends of a confidence interval. */
export type Interval = readonly [low: number, high: number];

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** The unbiased variance of at least two values. */
export function variance(values: readonly number[]): number {
  const center = mean(values);
  return values.reduce((sum, value) => sum + (value - center) ** 2, 0) / (values.length - 1);
}

/** The confidence interval of the mean (Student's t); null for one value, which says nothing about its error. */
export function intervalOf(values: readonly number[]): Interval | null {
  const n = values.length;
  if (n < 2) return null;
  const quantile = studentT().inv((1 + CONFIDENCE) / 2, n - 1);
  const reach = quantile * Math.sqrt(variance(values) / n);
  return [mean(values) - reach, mean(values) + reach];
}

export interface WelchTest {
  /** mean(b) − mean(a). */
  readonly difference: number;
  readonly interval: Interval;
  /** Two-sided: how often means this far apart would come from equal ones. */
  readonly p: number;
  /** Welch–Satterthwaite. */
  readonly degreesOfFreedom: number;
}

/**
 * Welch's t-test of b against a, whose variances may differ; null where one of them is a single value. Where
 * neither varies at all, any difference is certain.
 */
export function welch(a: readonly number[], b: readonly number[]): WelchTest | null {
  if (a.length < 2 || b.length < 2) return null;
  const [va, vb] = [variance(a) / a.length, variance(b) / b.length];
  const difference = mean(b) - mean(a);
  const error = Math.sqrt(va + vb);
  if (error === 0) {
    const degreesOfFreedom = a.length + b.length - 2;
    return {
      difference,
      interval: [difference, difference],
      p: difference === 0 ? 1 : 0,
      degreesOfFreedom,
    };
  }
  const degreesOfFreedom = (va + vb) ** 2 / (va ** 2 / (a.length - 1) + vb ** 2 / (b.length - 1));
  const reach = studentT().inv((1 + CONFIDENCE) / 2, degreesOfFreedom) * error;
  return {
    difference,
    interval: [difference - reach, difference + reach],
    p: 2 * studentT().cdf(-Math.abs(difference / error), degreesOfFreedom),
    degreesOfFreedom,
  };
}

/** How far Student's t lies from 0, to either side, with probability `p` at most. */
export const tailOfT = (p: number, degreesOfFreedom: number): number =>
  studentT().inv(1 - p / 2, degreesOfFreedom);

/**
 * The exact confidence interval of a proportion of which `count` of `total` is a sample (Clopper and Pearson,
 * Biometrika 26, 1934): it covers the truth at least as often as it says. Null for a sample of nothing.
 */
export function intervalOfShare(count: number, total: number): Interval | null {
  if (total === 0) return null;
  const tail = (1 - CONFIDENCE) / 2;
  const { beta } = jStat();
  const low = count === 0 ? 0 : beta.inv(tail, count, total - count + 1);
  const high = count === total ? 1 : beta.inv(1 - tail, count + 1, total - count);
  return [low, high];
}

export interface PairedTest {
  /** The mean of the differences. */
  readonly difference: number;
  readonly interval: Interval;
  /** Two-sided: how often a mean this far from 0 would come from differences around 0. */
  readonly p: number;
}

/** Student's t-test of paired differences, at least two. Where they do not vary, any difference is certain. */
export function pairedTest(differences: readonly number[]): PairedTest {
  const n = differences.length;
  const difference = mean(differences);
  const error = Math.sqrt(variance(differences) / n);
  if (error === 0)
    return { difference, interval: [difference, difference], p: difference === 0 ? 1 : 0 };
  const reach = studentT().inv((1 + CONFIDENCE) / 2, n - 1) * error;
  const p = 2 * studentT().cdf(-Math.abs(difference / error), n - 1);
  return { difference, interval: [difference - reach, difference + reach], p };
}

/**
 * The p-values of several tests, so corrected that one of them falls below α by chance with probability α at
 * most, whatever their dependence (Holm, Scandinavian Journal of Statistics 6, 1979). In the order given.
 */
export function holm(ps: readonly number[]): number[] {
  const order = [...ps.keys()].sort((a, b) => ps[a]! - ps[b]!);
  const corrected: number[] = [];
  let least = 0;
  for (const [rank, i] of order.entries()) {
    least = Math.max(least, Math.min(1, (ps.length - rank) * ps[i]!));
    corrected[i] = least;
  }
  return corrected;
}
