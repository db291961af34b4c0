import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import type { LayerShape } from './extent.ts';
import type { LayerInputs } from './interpreter.ts';

/** One fixed input on which layers are told apart. Functional keys live in databases: never change these. */
export interface ProbeCase {
  readonly shape: LayerShape;
  readonly inputs: LayerInputs;
  /** A second batch, for moving statistics that are averages of different batches. */
  readonly secondBatch: Float64Array;
  /** True where x has the scale that activations of a network have, so that verdicts are fair. */
  readonly ordinary: boolean;
}

interface Scale {
  readonly scale: number;
  readonly offset: number;
  readonly ordinary: boolean;
  /** True for v0 = 0 and v1 = 1, which a layer is trained from and where 0 / v0 has its own value. */
  readonly start?: boolean;
  /** True for the cubes of what x would be, which are of many magnitudes. */
  readonly cubed?: boolean;
}

/** Every index set takes another set of entries here: batch, places, channels and groups all differ. */
const WIDE: LayerShape = { batch: 3, height: 1, width: 3, channels: 8, groups: 2 };
const NARROW: LayerShape = { batch: 2, height: 2, width: 2, channels: 6, groups: 3 };

/**
 * Ordinary activations, the second time with an offset and at the starting values of v0 and v1; large
 * ones, where exponentials part and sigmoids saturate; and ones near zero, down to 1e-6, where ε and
 * the guard of division show. No entry is exactly 0 and none equals another: at exact ties of three,
 * spellings of one function share gradients out differently.
 */
export const PROBE_CASES: readonly ProbeCase[] = [
  probeCase(1, WIDE, { scale: 1, offset: 0, ordinary: true }),
  probeCase(2, NARROW, { scale: 1, offset: 0.5, ordinary: true, start: true }),
  probeCase(3, WIDE, { scale: 4, offset: -1.5, ordinary: false }),
  probeCase(4, NARROW, { scale: 0.003, offset: 0, ordinary: false, cubed: true }),
];

function probeCase(
  seed: number,
  shape: LayerShape,
  { scale, offset, ordinary, start = false, cubed = false }: Scale,
): ProbeCase {
  const { batch, height, width, channels } = shape;
  const { normal, uniform } = generator(seed);
  const images = entries(batch, normal);
  const lanes = entries(channels, normal);
  const imageSize = height * width * channels;
  // Images and channels differ in their means, so that no two index sets have almost equal moments.
  const x = entries(batch * imageSize, (i) => {
    const shift = images[Math.floor(i / imageSize)]! + lanes[i % channels]!;
    const a = normal() + shift / 2;
    return offset + scale * (cubed ? a * a * a : a);
  });
  // Elsewhere v0 and v1 are of both signs and far enough from 0 to divide by; groups differ in v1.
  // β stays 0: it tells no two layers apart, and would drown faint outputs.
  const inputs = {
    x,
    dy: entries(x.length, normal),
    v0: entries(channels, (c) => (start ? 0 : (c % 2 === 0 ? -1 : 1) * (0.25 + 0.75 * uniform()))),
    v1: entries(channels, (c) =>
      start ? 1 : (c < 2 ? -1 : 1) * (0.25 + (1.75 * (c + uniform())) / channels),
    ),
    gamma: entries(channels, () => 0.5 + uniform()),
  };
  return { shape, inputs, secondBatch: x.map((a) => 1.5 * a + 0.5 * scale), ordinary };
}

/** A factor within 2⁻⁴⁸ of 1 for every entry of a value: far more than rounding, far less than a digit of a key. */
export const JITTER = (() => {
  const { uniform } = generator(0);
  return entries(256, () => 1 + (uniform() - 0.5) * 2 ** -47);
})();

/** Additions and multiplications alone, so that the inputs are the same to the last bit everywhere. */
function generator(seed: number) {
  const random = xoroshiro128plus(seed);
  const uniform = () => uniformFloat64(random);
  // The sum of four uniforms: nearly normal, of mean 0 and variance 1, within ±3.5.
  const normal = () => (uniform() + uniform() + uniform() + uniform() - 2) * 1.732;
  return { uniform, normal };
}

function entries(length: number, entry: (i: number) => number): Float64Array {
  return Float64Array.from({ length }, (_, i) => entry(i));
}
