import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { variants } from '../../../src/eval/native/machine.ts';
import * as reference from './reference-instructions.ts';
import { runs } from './runs.ts';
import { type Allowed, expectSame, Scene } from './scene.ts';

/** Below, at and above the lane counts, and no multiples of them. */
const CHANNELS = [1, 3, 5, 7, 8, 12, 16, 24, 32, 40];
const IMAGES: readonly (readonly [height: number, width: number])[] = [
  [1, 1],
  [4, 4],
  [5, 7],
  [14, 14],
];
const ALLOWED: Allowed = { tolerance: 1e-5 };

const channels = fc.constantFrom(...CHANNELS);
const image = fc.constantFrom(...IMAGES);
const batch = fc.constantFrom<number>(1, 2, 5);
const seed = fc.nat();
const halo = fc.nat({ max: 2 });

const convolutions = fc.record({
  from: channels,
  to: channels,
  image,
  kernel: fc.constantFrom(1, 3, 5),
  stride: fc.constantFrom(1, 2),
  images: batch,
  xHalo: halo,
  yHalo: halo,
  rHalo: halo,
  mode: fc.constantFrom<'set' | 'add' | 'in place'>('set', 'add', 'in place'),
  seed,
});
type Convolution = typeof convolutions extends fc.Arbitrary<infer T> ? T : never;

/** A scene for a convolution and its gradients: halos are at least what the kernel wants. */
function sceneOf({ from, to, image: [height, width], kernel, stride, images, ...c }: Convolution) {
  const scene = new Scene(images);
  const padding = (kernel - 1) / 2;
  const out = (n: number) => Math.ceil(n / stride);
  const x = scene.tensor(height, width, from, Math.max(padding, c.xHalo));
  const weights = scene.block(kernel * kernel * from * to);
  const y = scene.tensor(out(height), out(width), to, Math.max(padding, c.yHalo));
  const r = scene.tensor(out(height), out(width), to, c.rHalo);
  const contents = scene.contents(c.seed);
  return { scene, x, y, r, weights, contents, shape: { x, y, kernel, stride } };
}

/** A convolution of 14 images from 48 channels to 40, then its gradients; the reference is slow and runs once. */
const MANY = (() => {
  const c: Convolution = {
    ...{ from: 48, to: 40, image: [8, 8], images: 14, kernel: 3, stride: 1, mode: 'set', seed: 1 },
    ...{ xHalo: 1, yHalo: 1, rHalo: 0 },
  };
  const scene = sceneOf(c);
  let result: Float64Array | undefined;
  const compute = () => {
    const want = Float64Array.from(scene.contents);
    reference.conv(want, c.images, scene.shape, scene.weights);
    reference.convWeightGradient(want, c.images, scene.shape, scene.weights);
    reference.convInputGradient(want, c.images, scene.shape, scene.weights, false);
    return want;
  };
  return { ...scene, want: () => (result ??= compute()) };
})();

describe.each(variants())('instructions on %s kernels', (variant) => {
  const check = <T>(arbitrary: fc.Arbitrary<T>, property: (value: T) => void, numRuns = 60) =>
    fc.assert(fc.property(arbitrary, property), { numRuns: runs(numRuns) });

  it('conv: any channels, image, kernel, stride, halo, and a term that is added', () => {
    check(convolutions, (c) => {
      const { scene, x, y, r, weights, contents, shape } = sceneOf(c);
      const term = { set: undefined, add: r, 'in place': y }[c.mode];
      const got = scene.run(variant, contents, (w) =>
        w.instruction('conv', x, weights, y, c.kernel, c.stride, term ? 1 : 0, term ?? r),
      );
      const want = Float64Array.from(contents);
      reference.conv(want, c.images, shape, weights, term);
      expectSame(contents, got, want, ALLOWED);
    });
  });

  it('convInputGradient, set or added', () => {
    check(convolutions, (c) => {
      const { scene, x, y, weights, contents, shape } = sceneOf(c);
      const adds = c.mode !== 'set';
      const got = scene.run(variant, contents, (w) =>
        w.instruction('convInputGradient', y, weights, x, c.kernel, c.stride, adds ? 1 : 0),
      );
      const want = Float64Array.from(contents);
      reference.convInputGradient(want, c.images, shape, weights, adds);
      expectSame(contents, got, want, ALLOWED);
    });
  });

  it('convWeightGradient', () => {
    check(convolutions, (c) => {
      const { scene, x, y, weights, contents, shape } = sceneOf(c);
      const got = scene.run(variant, contents, (w) =>
        w.instruction('convWeightGradient', x, y, weights, c.kernel, c.stride),
      );
      const want = Float64Array.from(contents);
      reference.convWeightGradient(want, c.images, shape, weights);
      expectSame(contents, got, want, ALLOWED);
    });
  });

  it('several blocks of channels, and more images than are taken at once', () => {
    const { scene, x, y, r, weights, contents } = MANY;
    const got = scene.run(variant, contents, (w) => {
      w.instruction('conv', x, weights, y, 3, 1, 0, r);
      w.instruction('convWeightGradient', x, y, weights, 3, 1);
      w.instruction('convInputGradient', y, weights, x, 3, 1, 0);
    });
    expectSame(contents, got, MANY.want(), ALLOWED);
  });

  it('pool and its gradient', () => {
    const cases = fc.record({ channels, image, images: batch, halo, adds: fc.boolean(), seed });
    check(cases, ({ channels, image: [height, width], images, halo, adds, seed }) => {
      const scene = new Scene(images);
      const x = scene.tensor(height, width, channels, halo);
      const [y, dy] = [scene.tensor(1, 1, channels), scene.tensor(1, 1, channels)];
      const dx = scene.tensor(height, width, channels, halo);
      const contents = scene.contents(seed);
      const got = scene.run(variant, contents, (w) => {
        w.instruction('pool', x, y);
        w.instruction('poolGradient', dy, dx, adds ? 1 : 0);
      });
      const want = Float64Array.from(contents);
      reference.pool(want, images, x, y);
      reference.poolGradient(want, images, dy, dx, adds);
      expectSame(contents, got, want, ALLOWED);
    });
  });

  it('dense and its gradient', () => {
    const cases = fc.record({
      from: channels,
      to: channels,
      images: batch,
      adds: fc.boolean(),
      seed,
    });
    check(cases, ({ from, to, images, adds, seed }) => {
      const scene = new Scene(images);
      const [x, dx] = [scene.tensor(1, 1, from), scene.tensor(1, 1, from)];
      const [y, dy] = [scene.tensor(1, 1, to), scene.tensor(1, 1, to)];
      const [weights, dw] = [scene.block(from * to), scene.block(from * to)];
      const [bias, db] = [scene.block(to), scene.block(to)];
      const contents = scene.contents(seed);
      const got = scene.run(variant, contents, (w) => {
        w.instruction('dense', x, weights, bias, y);
        w.instruction('denseGradient', x, weights, dy, dx, adds ? 1 : 0, dw, db);
      });
      const want = Float64Array.from(contents);
      reference.dense(want, images, x, weights, bias, y);
      reference.denseGradient(want, images, { x, weights, dy, dx, adds, dw, db });
      expectSame(contents, got, want, ALLOWED);
    });
  });

  it('loss: gradient, sum of losses, correct images', () => {
    const cases = fc.record({ classes: channels, images: batch, gradient: fc.boolean(), seed });
    check(cases, ({ classes, images, gradient, seed }) => {
      const { scene, logits, dlogits, labels, result } = lossScene(classes, images);
      const contents = scene.contents(seed);
      // Two equal largest logits: the first counts.
      if (classes > 2) contents.fill(9, logits.offset + 1, logits.offset + 3);
      const truth = Array.from({ length: images }, (_, i) => (seed + i) % classes);
      new Int32Array(contents.buffer, labels * 4).set(truth);
      const got = scene.run(variant, contents, (w) =>
        w.instruction(
          'loss',
          logits,
          labels,
          gradient ? dlogits : { ...dlogits, offset: -1 },
          result,
        ),
      );
      const want = Float64Array.from(contents);
      const [sum, correct] = reference.loss(
        want,
        images,
        logits,
        truth,
        gradient ? dlogits : undefined,
      );
      const [gotSum, gotCorrect] = new Float64Array(got.buffer, result * 4, 2);
      expect(gotSum).toBeCloseTo(sum, 9);
      expect(gotCorrect).toBe(correct);
      expectSame(contents, got, want, { ...ALLOWED, ignored: [[result, 4]] });
    });
  });

  it.each([Number.NaN, Infinity])('a logit of %s makes the loss NaN', (value) => {
    const { scene, logits, dlogits, labels, result } = lossScene(5, 2);
    const contents = scene.contents(1);
    contents[logits.offset + 7] = value;
    new Int32Array(contents.buffer, labels * 4).set([1, 4]);
    const got = scene.run(variant, contents, (w) =>
      w.instruction('loss', logits, labels, dlogits, result),
    );
    expect(new Float64Array(got.buffer, result * 4, 1)[0]).toBeNaN();
  });

  it('a label that is no class is an internal error', () => {
    const { scene, logits, dlogits, labels, result } = lossScene(5, 2);
    const contents = scene.contents(1);
    for (const label of [5, -1]) {
      new Int32Array(contents.buffer, labels * 4).set([1, label]);
      expect(() =>
        scene.run(variant, contents, (w) => w.instruction('loss', logits, labels, dlogits, result)),
      ).toThrow('internal: ');
    }
  });

  it('sgd with Nesterov momentum, with and without weight decay', () => {
    const cases = fc.record({
      count: fc.integer({ min: 1, max: 100 }),
      decays: fc.boolean(),
      seed,
    });
    check(cases, ({ count, decays, seed }) => {
      const scene = new Scene(1);
      const [weights, gradients, momenta] = [0, 1, 2].map(() => scene.block(count)) as [
        number,
        number,
        number,
      ];
      const hyper = scene.block(3);
      const contents = scene.contents(seed);
      const got = scene.run(variant, contents, (w) =>
        w.instruction('sgd', weights, gradients, momenta, count, hyper, decays ? 1 : 0),
      );
      const want = Float64Array.from(contents);
      reference.sgd(want, { weights, gradients, momenta, count, hyper }, decays);
      expectSame(contents, got, want, ALLOWED);
    });
  });

  it('sgd without decay leaves an infinite weight infinite', () => {
    const scene = new Scene(1);
    const block = scene.block(3);
    const hyper = scene.block(3);
    const contents = scene.contents(1);
    contents.set([Infinity, 1, 1], block);
    contents.set([0.1, 0.9, 0.5], hyper);
    const got = scene.run(variant, contents, (w) =>
      w.instruction('sgd', block, block + 1, block + 2, 1, hyper, 0),
    );
    expect(got[block]).toBe(Infinity);
  });

  it('add, copy, zero and zeroHalo', () => {
    const cases = fc.record({
      channels,
      image,
      images: batch,
      halos: fc.tuple(halo, halo, halo),
      seed,
    });
    check(cases, ({ channels, image: [height, width], images, halos, seed }) => {
      const scene = new Scene(images);
      const [a, b, y] = halos.map((h) => scene.tensor(height, width, channels, h)) as [T, T, T];
      const [z, dirty] = [
        scene.tensor(height, width, channels, 1),
        scene.tensor(height, width, channels, 2),
      ];
      const cleared = scene.block(37);
      const contents = scene.contents(seed);
      const dirtyFloats = images * (height + 4) * (width + 4) * channels;
      contents.fill(7, dirty.offset, dirty.offset + dirtyFloats);
      const got = scene.run(variant, contents, (w) => {
        w.instruction('add', a, b, y);
        w.instruction('copy', a, z);
        w.instruction('zero', cleared, 37);
        w.instruction('zeroHalo', dirty);
      });
      const want = Float64Array.from(contents);
      want.fill(0, cleared, cleared + 37);
      want.fill(0, dirty.offset, dirty.offset + dirtyFloats);
      reference.forElements(a, images, (i, r, c, k, at) => {
        want[reference.addressOf(y, i, r, c, k)] =
          contents[at]! + contents[reference.addressOf(b, i, r, c, k)]!;
        want[reference.addressOf(z, i, r, c, k)] = contents[at]!;
        want[reference.addressOf(dirty, i, r, c, k)] = 7;
      });
      expectSame(contents, got, want, ALLOWED);
    });
  });

  it('a run on fewer images leaves the others alone', () => {
    const c: Convolution = {
      ...{ from: 8, to: 16, image: [4, 4], kernel: 3, stride: 1, images: 5, mode: 'set', seed: 3 },
      ...{ xHalo: 1, yHalo: 1, rHalo: 0 },
    };
    const { scene, x, y, r, weights, contents, shape } = sceneOf(c);
    const got = scene.run(
      variant,
      contents,
      (w) => w.instruction('conv', x, weights, y, 3, 1, 0, r),
      2,
    );
    const want = Float64Array.from(contents);
    reference.conv(want, 2, shape, weights);
    expectSame(contents, got, want, ALLOWED);
  });

  it('NaN and infinity pass through a convolution', () => {
    const c: Convolution = {
      ...{ from: 3, to: 5, image: [4, 4], kernel: 3, stride: 1, images: 1, mode: 'set', seed: 3 },
      ...{ xHalo: 1, yHalo: 1, rHalo: 0 },
    };
    const { scene, x, y, r, weights, contents } = sceneOf(c);
    contents[reference.addressOf(x, 0, 0, 0, 1)] = Number.NaN;
    contents[reference.addressOf(x, 0, 3, 3, 1)] = Infinity;
    const got = scene.run(variant, contents, (w) =>
      w.instruction('conv', x, weights, y, 3, 1, 0, r),
    );
    expect(got[reference.addressOf(y, 0, 1, 1, 4)]).toBeNaN();
    expect(Math.abs(got[reference.addressOf(y, 0, 3, 2, 0)]!)).toBe(Infinity);
    expect(got[reference.addressOf(y, 0, 0, 3, 2)]).toSatisfy(Number.isFinite);
  });
});

type T = ReturnType<Scene['tensor']>;

function lossScene(classes: number, images: number) {
  const scene = new Scene(images);
  const [logits, dlogits] = [scene.tensor(1, 1, classes), scene.tensor(1, 1, classes)];
  return { scene, logits, dlogits, labels: scene.block(images), result: scene.block(4) };
}
