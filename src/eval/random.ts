import { createHash } from 'node:crypto';
import { xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';

export type { RandomGenerator };

/**
 * The stream of random numbers that belongs to `key`. Different keys give unrelated streams, so nothing
 * depends on the order in which streams are drawn from.
 */
export function randomStream(...key: readonly (string | number)[]): RandomGenerator {
  const digest = createHash('sha256').update(JSON.stringify(key)).digest();
  return xoroshiro128plusFromState([0, 4, 8, 12].map((offset) => digest.readInt32LE(offset)));
}

const unit = (rng: RandomGenerator): number => (rng.next() >>> 0) / 2 ** 32;

/** A whole number from 0 to n − 1. The bias, n / 2³², is far below what any sample here can show. */
export const below = (n: number, rng: RandomGenerator): number => Math.floor(unit(rng) * n);

/** Fisher–Yates, in place. */
export function shuffle(values: { [index: number]: number; length: number }, rng: RandomGenerator) {
  for (let i = values.length - 1; i > 0; i--) {
    const j = below(i + 1, rng);
    const value = values[i] as number;
    values[i] = values[j] as number;
    values[j] = value;
  }
}

/** Fills `target` with normal values of mean 0 (Box–Muller, two values per pair of uniform ones). */
export function fillNormal(target: Float32Array, deviation: number, rng: RandomGenerator) {
  for (let i = 0; i < target.length; i += 2) {
    // 1 − u is in (0, 1], where the logarithm is finite.
    const radius = deviation * Math.sqrt(-2 * Math.log(1 - unit(rng)));
    const angle = 2 * Math.PI * unit(rng);
    target[i] = radius * Math.cos(angle);
    if (i + 1 < target.length) target[i + 1] = radius * Math.sin(angle);
  }
}
