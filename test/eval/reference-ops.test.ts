import { describe, expect, test } from 'vitest';
import {
  type ImageShape,
  type Network,
  type NetworkOp,
  parameterLayout,
  tensorShapes,
} from '../../src/eval/network.ts';
import { fillNormal, randomStream } from '../../src/eval/random.ts';
import { backwardOp, forwardOp, type Slices } from '../../src/eval/reference-ops.ts';
import { parseLayer } from '../../src/graph/text.ts';

type PlainOp = Exclude<NetworkOp, { op: 'layer' | 'add' }>;

const BATCH = 2;

function normal(count: number, seed: string): Float64Array {
  const values = new Float32Array(count);
  fillNormal(values, 1, randomStream('values', seed));
  return Float64Array.from(values);
}

const sizeOf = ({ height, width, channels }: ImageShape) => height * width * channels;

/** One operation on a random image, with random parameters. */
function alone(op: PlainOp, image: ImageShape) {
  const network: Network = { name: 'alone', image, classes: 1, ops: [op] };
  const shapes = tensorShapes(network);
  const layout = parameterLayout(network, parseLayer('x'));
  const weights: Slices = Object.fromEntries(
    layout.map(({ kind, size }) => [kind, normal(size, kind)]),
  );
  const x = normal(BATCH * sizeOf(image), 'x');
  const forward = () => forwardOp(op, [x], shapes, BATCH, weights);
  return { shapes, weights, x, forward };
}

const CASES: readonly [PlainOp, ImageShape][] = [
  [{ op: 'conv', input: 0, kernel: 3, stride: 2, channels: 3 }, image(4, 5, 2)],
  [{ op: 'depthwise', input: 0, kernel: 3, stride: 1 }, image(4, 3, 3)],
  [{ op: 'depthwise', input: 0, kernel: 3, stride: 2 }, image(5, 4, 2)],
  [{ op: 'depthwise', input: 0, kernel: 5, stride: 1 }, image(3, 6, 2)],
  [{ op: 'depthwise', input: 0, kernel: 5, stride: 2 }, image(1, 7, 3)],
  [{ op: 'squeezeExcite', input: 0, reduced: 2 }, image(3, 2, 4)],
  [{ op: 'squeezeExcite', input: 0, reduced: 5 }, image(1, 1, 3)],
  [{ op: 'pool', input: 0 }, image(2, 3, 2)],
  [{ op: 'dense', input: 0, units: 3 }, image(1, 1, 4)],
];

function image(height: number, width: number, channels: number): ImageShape {
  return { height, width, channels };
}

const title = ({ input: _, op, ...rest }: PlainOp) =>
  [op, ...Object.entries(rest).map(([name, value]) => `${name} ${value}`)].join(' ');

describe('all gradients agree with central differences', () => {
  test.each(CASES.map(([op, shape]) => [title(op), op, shape] as const))('%s', (_, op, shape) => {
    const { shapes, weights, x, forward } = alone(op, shape);
    const y = forward();
    expect(y).toHaveLength(BATCH * sizeOf(shapes[1]!));
    const dy = normal(y.length, 'dy');
    const loss = () => forward().reduce((sum, value, i) => sum + value * dy[i]!, 0);

    // What is there already is added to.
    const dx = new Float64Array(x.length).fill(1);
    const own = mapValues(weights, (values) => new Float64Array(values.length).fill(1));
    backwardOp(op, [x], shapes, BATCH, weights, dy, [dx], own);

    const variables = { x, ...weights };
    for (const [name, gradient] of Object.entries({ x: dx, ...own })) {
      const values = variables[name as keyof typeof variables]!;
      gradient.forEach((value, i) => {
        const slope = differences(values, i, loss);
        expect(Math.abs(value - 1 - slope), `${name} ${i}`).toBeLessThan(1e-8);
      });
    }
  });
});

function differences(values: Float64Array, i: number, loss: () => number): number {
  const [value, step] = [values[i]!, 2 ** -16];
  values[i] = value + step;
  const up = loss();
  values[i] = value - step;
  const down = loss();
  values[i] = value;
  return (up - down) / (2 * step);
}

const mapValues = (slices: Slices, f: (values: Float64Array) => Float64Array): Slices =>
  Object.fromEntries(Object.entries(slices).map(([kind, values]) => [kind, f(values)]));

test.each([1, 2] as const)('a depthwise convolution is a diagonal one, stride %d', (stride) => {
  const [kernel, channels] = [5, 3];
  const shape = image(7, 4, channels);
  const depthwise = alone({ op: 'depthwise', input: 0, kernel, stride }, shape);
  const full = alone({ op: 'conv', input: 0, kernel, stride, channels }, shape);
  full.weights.conv!.forEach((_, i, conv) => {
    const [tap, from, to] = [
      Math.floor(i / channels ** 2),
      Math.floor(i / channels) % channels,
      i % channels,
    ];
    conv[i] = from === to ? depthwise.weights.depthwise![tap * channels + to]! : 0;
  });
  expect(depthwise.forward()).toEqual(full.forward());
});

test('squeeze-excite scales channels by what their means say', () => {
  const { weights, x, forward } = alone(
    { op: 'squeezeExcite', input: 0, reduced: 1 },
    image(1, 2, 2),
  );
  // Image 0 has means 2 and 3, image 1 means 0 and 1.
  x.set([1, 2, 3, 4, -1, 0, 1, 2]);
  weights.reduce!.set([1, -1]);
  weights.reduceBias!.set([2]);
  weights.expand!.set([0, 3]);
  weights.expandBias!.set([0, -1]);
  // Both images: 2 − 3 + 2 = 0 − 1 + 2 = 1; factors sigmoid(0) and sigmoid(3·silu(1) − 1).
  const silu = 1 / (1 + Math.exp(-1));
  const factor = 1 / (1 + Math.exp(1 - 3 * silu));
  const wanted = [...x].map((value, i) => value * (i % 2 ? factor : 0.5));
  forward().forEach((value, i) => {
    expect(value).toBeCloseTo(wanted[i]!, 14);
  });
});
