import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ProgramWriter, Tensor } from '../../../src/eval/native/encode.ts';
import { variants } from '../../../src/eval/native/machine.ts';
import * as reference from './reference-depthwise.ts';
import { runs } from './runs.ts';
import { type Allowed, addressOf, expectSame, Scene } from './scene.ts';

/** Below, at and above the lane counts and their halves, and no multiples of them; 70 is more than four vectors. */
const CHANNELS = [1, 3, 5, 8, 12, 16, 24, 25, 40, 70];
const IMAGES: readonly (readonly [height: number, width: number])[] = [
  [1, 1],
  [1, 2],
  [2, 2],
  [3, 7],
  [4, 4],
  [4, 7],
  [5, 7],
  [6, 13],
  [7, 7],
  [8, 8],
  [9, 17],
];
const ALLOWED: Allowed = { tolerance: 1e-5 };

const channels = fc.constantFrom(...CHANNELS);
const image = fc.constantFrom(...IMAGES);
const halo = fc.nat({ max: 2 });
const cases = fc.record({
  channels,
  image,
  kernel: fc.constantFrom<number>(1, 3, 5, 7, 9),
  stride: fc.constantFrom<number>(1, 2),
  images: fc.constantFrom<number>(1, 2, 5),
  halos: fc.tuple(halo, halo),
  adds: fc.boolean(),
  seed: fc.nat(),
});
type Case = typeof cases extends fc.Arbitrary<infer T> ? T : never;

/** Halos are at least what the kernel wants. */
function sceneOf({ channels, image: [height, width], kernel, stride, images, halos, seed }: Case) {
  const scene = new Scene(images);
  const padding = (kernel - 1) / 2;
  const out = (n: number) => Math.ceil(n / stride);
  const x = scene.tensor(height, width, channels, Math.max(padding, halos[0]));
  const weights = scene.block(kernel * kernel * channels);
  const y = scene.tensor(out(height), out(width), channels, Math.max(padding, halos[1]));
  const contents = scene.contents(seed);
  return { scene, x, y, weights, contents, shape: { x, y, kernel, stride } };
}

/** Large enough for several parts of a weight gradient, at awkward channels. */
const LARGE: Case = {
  ...{ channels: 40, image: [23, 19], kernel: 3, stride: 1, images: 7 },
  ...{ halos: [1, 1], adds: false, seed: 5 },
};

/** Small square images, which have kernels of their own. */
const SMALL = [2, 4, 7, 8].flatMap((side) =>
  [false, true].map((adds): Case => ({ ...LARGE, image: [side, side], channels: 24, adds })),
);

describe.each(variants())('depthwise and squeeze-excite on %s kernels', (variant) => {
  const check = <T>(arbitrary: fc.Arbitrary<T>, property: (value: T) => void, examples: T[] = []) =>
    fc.assert(fc.property(arbitrary, property), {
      numRuns: runs(80),
      examples: examples.map((example) => [example]),
    });
  const examples = [1, 2].flatMap((stride) =>
    [3, 5].flatMap((kernel) => [LARGE, ...SMALL].map((c): Case => ({ ...c, stride, kernel }))),
  );

  it('depthwise: any channels, image, odd kernel, stride and halo', () => {
    check(
      cases,
      (c) => {
        const { scene, x, y, weights, contents, shape } = sceneOf(c);
        const got = scene.run(variant, contents, (w) =>
          w.instruction('depthwise', x, weights, y, c.kernel, c.stride),
        );
        const want = Float64Array.from(contents);
        reference.depthwise(want, c.images, shape, weights);
        expectSame(contents, got, want, ALLOWED);
      },
      examples,
    );
  });

  it('depthwiseInputGradient, set or added', () => {
    check(
      cases,
      (c) => {
        const { scene, x, y, weights, contents, shape } = sceneOf(c);
        const got = scene.run(variant, contents, (w) =>
          w.instruction(
            ...(['depthwiseInputGradient', y, weights, x, c.kernel, c.stride] as const),
            c.adds ? 1 : 0,
          ),
        );
        const want = Float64Array.from(contents);
        reference.depthwiseInputGradient(want, c.images, shape, weights, c.adds);
        expectSame(contents, got, want, ALLOWED);
      },
      examples,
    );
  });

  it('depthwiseWeightGradient', () => {
    check(
      cases,
      (c) => {
        const { scene, x, y, weights, contents, shape } = sceneOf(c);
        const got = scene.run(variant, contents, (w) =>
          w.instruction('depthwiseWeightGradient', x, y, weights, c.kernel, c.stride),
        );
        const want = Float64Array.from(contents);
        reference.depthwiseWeightGradient(want, c.images, shape, weights);
        expectSame(contents, got, want, ALLOWED);
      },
      examples,
    );
  });

  it('a run on fewer images leaves the others alone', () => {
    const { scene, x, y, weights, contents, shape } = sceneOf(LARGE);
    const got = scene.run(
      variant,
      contents,
      (w) => w.instruction('depthwise', x, weights, y, 3, 1),
      2,
    );
    const want = Float64Array.from(contents);
    reference.depthwise(want, 2, shape, weights);
    expectSame(contents, got, want, ALLOWED);
  });

  it('NaN stays in its channel', () => {
    const { scene, x, y, weights, contents } = sceneOf({ ...LARGE, images: 1 });
    contents[addressOf(x, 0, 4, 4, 7)] = Number.NaN;
    const got = scene.run(variant, contents, (w) =>
      w.instruction('depthwise', x, weights, y, 3, 1),
    );
    const at = (r: number, c: number, k: number) => got[addressOf(y, 0, r, c, k)]!;
    expect([at(3, 3, 7), at(5, 5, 7)]).toEqual([Number.NaN, Number.NaN]);
    for (const k of [6, 8, 39]) expect(at(4, 4, k)).toSatisfy(Number.isFinite);
    expect(at(4, 6, 7)).toSatisfy(Number.isFinite);
  });

  it('silu and sigmoid with their gradients, also in place', () => {
    const activations = fc.record({
      channels,
      images: fc.constantFrom(1, 3),
      halo,
      seed: fc.nat(),
    });
    check(activations, ({ channels, images, halo, seed }) => {
      const scene = new Scene(images);
      const tensor = (_: unknown, i: number) => scene.tensor(1, 1, channels, i === 1 ? halo : 0);
      const [a, b, c, d, e, f, g] = Array.from({ length: 7 }, tensor) as [T, T, T, T, T, T, T];
      const contents = scene.contents(seed);
      const got = scene.run(variant, contents, (w) => {
        w.instruction('silu', a, b);
        w.instruction('siluGradient', a, c, d);
        w.instruction('sigmoid', e, e);
        w.instruction('sigmoidGradient', e, f, g);
        w.instruction('siluGradient', e, f, f);
      });
      const want = Float64Array.from(contents);
      reference.map(want, images, [a, a, b], reference.silu);
      reference.map(want, images, [a, c, d], (x, dy) => dy * reference.siluSlope(x));
      reference.map(want, images, [e, e, e], reference.sigmoid);
      reference.map(want, images, [e, f, g], (s, dy) => dy * s * (1 - s));
      reference.map(want, images, [e, f, f], (x, dy) => dy * reference.siluSlope(x));
      expectSame(contents, got, want, ALLOWED);
    });
  });

  it('scale and its gradients', () => {
    check(cases, ({ channels, image: [height, width], images, halos, adds, seed }) => {
      const scene = new Scene(images);
      const map = (halo: number) => scene.tensor(height, width, channels, halo);
      const [x, y, dy, dx] = [...halos, ...halos].map(map) as [T, T, T, T];
      const [s, ds, p] = [0, 1, 2].map(() => scene.tensor(1, 1, channels)) as [T, T, T];
      const contents = scene.contents(seed);
      const got = scene.run(variant, contents, (w) => {
        w.instruction('scale', x, s, y);
        w.instruction('scaleFactorGradient', x, dy, ds);
        w.instruction('scaleInputGradient', dy, s, p, dx, adds ? 1 : 0);
      });
      const want = Float64Array.from(contents);
      reference.scale(want, images, x, s, y);
      reference.scaleFactorGradient(want, images, x, dy, ds);
      reference.scaleInputGradient(want, images, { dy, s, p, dx, adds });
      expectSame(contents, got, want, ALLOWED);
    });
  });

  const good = sceneOf(LARGE);
  const { x, y, weights } = good;
  const vector = (t: Tensor): Tensor => ({ ...t, height: 1, width: 1, halo: 0 });
  const rejected: readonly [string, string, (w: ProgramWriter) => void][] = [
    [
      'an even kernel',
      'an impossible kernel',
      (w) => w.instruction('depthwise', x, weights, y, 2, 1),
    ],
    [
      'a stride of 3',
      'an impossible kernel',
      (w) => w.instruction('depthwise', x, weights, y, 3, 3),
    ],
    [
      'an input without halo',
      'without the halo',
      (w) => w.instruction('depthwise', { ...x, halo: 0 }, weights, y, 3, 1),
    ],
    [
      'a gradient without halo',
      'without the halo',
      (w) => w.instruction('depthwiseInputGradient', { ...y, halo: 0 }, weights, x, 3, 1, 0),
    ],
    [
      'other channels',
      'different channels',
      (w) => w.instruction('depthwiseWeightGradient', x, { ...y, channels: 8 }, weights, 3, 1),
    ],
    [
      'the wrong size',
      'to the wrong size',
      (w) => w.instruction('depthwise', x, weights, { ...y, width: 18 }, 3, 1),
    ],
    [
      'weights outside of the arena',
      'outside of the arena',
      (w) => w.instruction('depthwise', x, 1 << 30, y, 3, 1),
    ],
    [
      'factors that are a feature map',
      'a feature map where a vector is wanted',
      (w) => w.instruction('scale', x, y, y),
    ],
    [
      'factors of other channels',
      'different channels',
      (w) => w.instruction('scale', x, { ...vector(x), channels: 8 }, y),
    ],
    [
      'a gradient of another shape',
      'different shapes',
      (w) => w.instruction('scaleFactorGradient', x, { ...y, height: 4 }, vector(x)),
    ],
    [
      'activations of another shape',
      'different shapes',
      (w) => w.instruction('silu', vector(x), { ...vector(x), channels: 8 }),
    ],
    ['a missing field', 'the wrong length', (w) => w.instruction('depthwise', x, weights, y, 3)],
  ];
  it.each(rejected)('%s is an internal error', (_, message, write) => {
    expect(() => good.scene.run(variant, good.contents, write)).toThrow(message);
  });
});

type T = Tensor;
