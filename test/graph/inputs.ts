import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import type { LayerShape } from '../../src/graph/extent.ts';

/** A stream of uniform numbers in [−1, 1), and whole numbers below n. */
export function stream(seed: number) {
  const rng = xoroshiro128plus(seed);
  const uniform = () => 2 * uniformFloat64(rng) - 1;
  const below = (n: number) => Math.floor(uniformFloat64(rng) * n);
  return { uniform, below, array: (n: number, f = uniform) => Float64Array.from({ length: n }, f) };
}

/** Every index set takes different entries. */
export const SHAPE: LayerShape = { batch: 2, height: 2, width: 2, channels: 4, groups: 2 };
/** An odd shape: groups of one channel, 1 × 3 images. */
export const ODD_SHAPE: LayerShape = { batch: 3, height: 1, width: 3, channels: 3, groups: 3 };

const entries = ({ batch, height, width, channels }: LayerShape) =>
  batch * height * width * channels;

/** Generic inputs: no two entries are equal and none is 0. */
export function generic(seed: number, shape: LayerShape) {
  const { uniform, array } = stream(seed);
  const n = entries(shape);
  const { channels } = shape;
  return {
    x: array(n, () => 2 * uniform() + 0.3),
    dy: array(n),
    v0: array(channels),
    v1: array(channels, () => 1 + uniform()),
    gamma: array(channels, () => 1 + uniform() / 2),
    beta: array(channels),
  };
}

/** Inputs full of zeros and equal entries: black borders, and parameters at their starting values. */
export function tied(seed: number, shape: LayerShape) {
  const { below, array } = stream(seed);
  const { channels } = shape;
  const pick = (...choices: number[]) => choices[below(choices.length)]!;
  return {
    ...generic(seed, shape),
    x: array(entries(shape), () => pick(0, 0, 0, -0, 1, 1, -1, 0.5, -2)),
    v0: array(channels, () => pick(0, 0, 1, -1)),
    v1: array(channels, () => pick(1, 1, 0, 0.5)),
  };
}
