import { describe, expect, it } from 'vitest';
import { fillNormal, randomStream } from '../../../src/eval/random.ts';
import { backwardOp, forwardOp } from '../../../src/eval/reference-ops.ts';
import { type Convolution, convolve, convolveBack } from '../../../src/eval/tfjs/convolution.ts';
import { loadedFor, TESTED } from './backends.ts';

const BATCH = 3;
const IMAGES = [
  { height: 8, width: 8, channels: 3 },
  { height: 9, width: 7, channels: 4 },
  { height: 4, width: 5, channels: 2 },
  { height: 1, width: 2, channels: 5 },
];

const CASES = IMAGES.flatMap((image) =>
  [1, 3, 5].flatMap((kernel) =>
    ([1, 2] as const).flatMap(
      (stride): { name: string; image: typeof image; op: Convolution }[] => {
        const name = `${kernel}×${kernel}/${stride} on ${image.height}×${image.width}`;
        const at = { input: 1, kernel, stride };
        return [
          { name: `conv ${name}`, image, op: { op: 'conv', ...at, channels: 6 } },
          { name: `depthwise ${name}`, image, op: { op: 'depthwise', ...at } },
        ];
      },
    ),
  ),
);

describe.each(TESTED)('convolutions on TensorFlow.js, %s', (backend) => {
  const loaded = loadedFor(backend);

  it.each(CASES)('$name and its gradients equal the reference', async ({ image, op }) => {
    const { want, x, weights, dy, filter } = referenceOf(op, image);
    const tf = loaded();
    const out = tf.tidy(() => {
      const { height, width, channels } = image;
      const images = tf.tensor4d(Float32Array.from(x), [BATCH, height, width, channels]);
      const filters = tf.tensor(Float32Array.from(weights), filter);
      const y = convolve(tf, op, image, images, filters);
      const above = tf.tensor(Float32Array.from(dy), y.shape);
      const { dx, dw } = convolveBack(
        tf,
        op,
        image,
        { x: images, weights: filters, dy: above },
        true,
      );
      return { y, dx: dx!, dw };
    });
    for (const name of ['y', 'dx', 'dw'] as const)
      expectClose(await out[name].data(), want[name], name);
    tf.dispose(out);
  });
});

function referenceOf(op: Convolution, image: (typeof IMAGES)[number]) {
  const rng = randomStream('convolution', op.kernel);
  const normal = (size: number) => {
    const values = new Float32Array(size);
    fillNormal(values, 1, rng);
    return Float64Array.from(values);
  };
  const { kernel } = op;
  const filter =
    op.op === 'conv'
      ? [kernel, kernel, image.channels, op.channels]
      : [kernel, kernel, image.channels];
  const weights = normal(filter.reduce((a, b) => a * b, 1));
  const x = normal(BATCH * image.height * image.width * image.channels);
  const shapes = [image, image];
  const y = forwardOp(op, [x, x], shapes, BATCH, { [op.op]: weights });
  const dy = normal(y.length);
  const [dx, dw] = [new Float64Array(x.length), new Float64Array(weights.length)];
  const named = (value: Float64Array) => ({ [op.op]: value });
  backwardOp(op, [x, x], shapes, BATCH, named(weights), dy, [dx, dx], named(dw));
  return { want: { y, dx, dw }, x, weights, dy, filter };
}

function expectClose(got: ArrayLike<number>, want: Float64Array, name: string): void {
  expect(got.length).toBe(want.length);
  const largest = Math.max(...want.map(Math.abs));
  const error = Math.max(...want.map((value, i) => Math.abs(value - got[i]!)));
  expect(error / largest, name).toBeLessThan(1e-5);
}
