import { below, type RandomGenerator } from '../eval/random.ts';

/** True with probability `p`. */
export const chance = (p: number, rng: RandomGenerator): boolean =>
  (rng.next() >>> 0) / 2 ** 32 < p;

/** One of `values`, each as likely as the others. */
export const pick = <T>(values: readonly T[], rng: RandomGenerator): T => {
  if (values.length === 0) throw new Error('internal: nothing to pick from');
  return values[below(values.length, rng)] as T;
};

/** One of `values`, as likely as its weight; a value of weight 0 is never picked. */
export function pickWeighted<T>(
  values: readonly T[],
  weight: (value: T) => number,
  rng: RandomGenerator,
): T {
  const legal = values.filter((value) => weight(value) > 0);
  const total = legal.reduce((sum, value) => sum + weight(value), 0);
  let rest = ((rng.next() >>> 0) / 2 ** 32) * total;
  for (const value of legal) {
    rest -= weight(value);
    if (rest < 0) return value;
  }
  // Reached only where rounding left a crumb of `rest` behind the last value.
  const last = legal.at(-1);
  if (last === undefined) throw new Error('internal: nothing legal to pick from');
  return last;
}

/** A random subset of `size` values, all subsets as likely, in no particular order (Floyd's algorithm, without a copy of `values`). */
export function sample<T>(values: readonly T[], size: number, rng: RandomGenerator): T[] {
  const chosen = new Set<number>();
  for (let last = values.length - Math.min(size, values.length); last < values.length; last++) {
    const index = below(last + 1, rng);
    chosen.add(chosen.has(index) ? last : index);
  }
  return [...chosen].map((index) => values[index] as T);
}
