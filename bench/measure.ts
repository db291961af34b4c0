import { median } from 'simple-statistics';
import type { Result } from './results.ts';

/** Someone who can do the work of a case once, and says how long it took, or at which rate. */
export interface Contender {
  readonly name: string;
  readonly unit: string;
  readonly sample: () => number | Promise<number>;
}

/** A contender that cannot take part, and why. */
export interface Missing {
  readonly name: string;
  readonly unit: string;
  readonly missing: string;
}

export interface Rounds {
  readonly rounds: number;
  /** Whether there is one more round before, which is thrown away; true by default. */
  readonly warmUp?: boolean;
}

/**
 * Samples of all contenders, taken in turn, so that whatever else the machine does meets all of them. A
 * contender that fails is missing from then on.
 */
export async function alternate(
  place: { readonly group: string; readonly case: string },
  contenders: readonly (Contender | Missing)[],
  { rounds, warmUp = true }: Rounds,
): Promise<Result[]> {
  const samples = contenders.map((): number[] => []);
  const failures = contenders.map((c) => ('missing' in c ? c.missing : undefined));
  for (let round = warmUp ? 0 : 1; round <= rounds; round++) {
    for (const [i, contender] of contenders.entries()) {
      if (failures[i] !== undefined || 'missing' in contender) continue;
      try {
        const sample = await contender.sample();
        if (round > 0) samples[i]!.push(sample);
      } catch (error) {
        failures[i] = error instanceof Error ? error.message : String(error);
      }
    }
  }
  return contenders.map(({ name, unit }, i) => {
    const result = { ...place, contender: name, unit };
    const missing = failures[i];
    return missing === undefined
      ? { ...result, median: median(samples[i]!), samples: samples[i]! }
      : { ...result, median: null, samples: [], missing };
  });
}

/** Milliseconds of `work`. */
export function milliseconds(work: () => unknown): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

/** Milliseconds of processors for `work`, those of the garbage collector included: what else the machine does adds nothing. */
export function processorMilliseconds(work: () => unknown): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** How often `work(count)` must do its work to take about `wanted` milliseconds: at least once. */
export function repetitions(work: (count: number) => unknown, wanted: number): number {
  for (let count = 1; ; count *= 2) {
    const taken = milliseconds(() => work(count));
    if (taken >= wanted / 2 || count >= 2 ** 20)
      return Math.max(1, Math.round((count * wanted) / taken));
  }
}
