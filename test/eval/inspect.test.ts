import { describe, expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { initialParameters } from '../../src/eval/initial.ts';
import {
  blocksOf,
  INSPECTION_DEFAULTS,
  inspectedNetwork,
  inspectLayer,
  refuseHuge,
  SIDE,
} from '../../src/eval/inspect.ts';
import { normalValues } from '../../src/eval/inspect-layer.ts';
import { type Network, parameterLayout, tensorShapes } from '../../src/eval/network.ts';
import { simplify } from '../../src/graph/simplify.ts';
import { parseLayer } from '../../src/graph/text.ts';
import { ZOO } from '../../src/graph/zoo.ts';

const layerOf = (formula: string) => simplify(parseLayer(formula));
const zoo = (name: string) => ZOO.find((one) => one.name === name)!.layer;
const small = { ...INSPECTION_DEFAULTS, depth: 4, width: 2, images: 2 };

/** A batch of feature maps by image, height, width and channel. */
type Maps = number[][][][];

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const variance = (values: readonly number[]) => mean(values.map((a) => a * a)) - mean(values) ** 2;
const channel = (maps: Maps, c: number) => maps.flat(2).map((pixel) => pixel[c]!);
const channels = (maps: Maps) => maps[0]![0]![0]!.map((_, c) => channel(maps, c));

function mapsOf(flat: ArrayLike<number>, side: number, count: number): Maps {
  const values = Array.from(flat);
  const take = (n: number, of: () => unknown) => Array.from({ length: n }, of);
  const images = values.length / (side * side * count);
  return take(images, () => take(side, () => take(side, () => values.splice(0, count)))) as Maps;
}

/** The definition of a convolution, of one pixel at a time; `at` reads weights by tap, input and output. */
function convolve(
  maps: Maps,
  kernel: number,
  stride: number,
  outputs: number,
  at: (t: number, i: number, o: number) => number,
): Maps {
  const side = Math.ceil(maps[0]!.length / stride);
  const pad = (kernel - 1) / 2;
  const numbers = (n: number) => Array.from({ length: n }, (_, i) => i);
  return maps.map((image) =>
    numbers(side).map((y) =>
      numbers(side).map((x) =>
        numbers(outputs).map((o) => {
          let sum = 0;
          for (const t of numbers(kernel * kernel)) {
            const pixel =
              image[y * stride + Math.floor(t / kernel) - pad]?.[x * stride + (t % kernel) - pad];
            pixel?.forEach((a, i) => {
              sum += a * at(t, i, o);
            });
          }
          return sum;
        }),
      ),
    ),
  );
}

type Layer = (maps: Maps) => Maps;
const eachValue =
  (of: (a: number) => number): Layer =>
  (maps) =>
    maps.map((image) => image.map((row) => row.map((pixel) => pixel.map(of))));
const bnRelu: Layer = (maps) => {
  const own = channels(maps).map((values) => ({
    m: mean(values),
    s: Math.sqrt(variance(values) + 1e-5),
  }));
  return maps.map((image) =>
    image.map((row) =>
      row.map((pixel) => pixel.map((a, c) => Math.max(0, (a - own[c]!.m) / own[c]!.s))),
    ),
  );
};

/** All tensors of the network, computed plainly, from the tensors that are given. */
function plainly(
  network: Network,
  layer: Layer,
  weights: Float32Array,
  given: readonly Maps[],
): Maps[] {
  const layout = parameterLayout(network, layerOf('x'));
  const tensors = [...given];
  for (let k = given.length - 1; k < network.ops.length; k++) {
    const op = network.ops[k]!;
    if (op.op === 'add') {
      const [a, b] = op.inputs.map((input) => tensors[input]!);
      tensors.push(
        a!.map((image, n) =>
          image.map((row, y) => row.map((pixel, x) => pixel.map((v, c) => v + b![n]![y]![x]![c]!))),
        ),
      );
    } else if (op.op === 'layer') tensors.push(layer(tensors[op.input]!));
    else if (op.op === 'conv') {
      const { offset, shape } = layout.find((parameter) => parameter.op === k)!;
      const [inputs, outputs] = [shape[2]!, shape[3]!];
      tensors.push(
        convolve(
          tensors[op.input]!,
          op.kernel,
          op.stride,
          outputs,
          (t, i, o) => weights[offset + (t * inputs + i) * outputs + o]!,
        ),
      );
    } else throw new Error(`a network of convolutions has ${op.op}`);
  }
  return tensors;
}

/** The small network as it is inspected with a layer without v0 and v1, computed plainly. */
function plainNetwork(layer: Layer, settings = small) {
  const network = inspectedNetwork(settings);
  const weights = initialParameters(network, layerOf('x'), `inspect ${settings.seed}`);
  const noise = normalValues(settings.images * SIDE * SIDE * 3, settings.seed, 'images');
  const from = (given: readonly Maps[]) => plainly(network, layer, weights, given);
  return { network, from, tensors: from([mapsOf(noise, SIDE, 3)]) };
}

const moments = (maps: Maps) => ({
  squaredMean: mean(channels(maps).map((values) => mean(values) ** 2)),
  variance: mean(channels(maps).map(variance)),
});

describe('signals', () => {
  test.each([
    ['BN-ReLU without v0 and v1', 'max((x - mean[bwh](x)) / std[bwh](x), 0)', bnRelu],
    ['tanh', 'tanh(x)', eachValue(Math.tanh)],
  ])('of %s are those of a plain computation', (_, formula, layer) => {
    const { blocks } = inspectLayer(layerOf(formula), small);
    const { network, tensors } = plainNetwork(layer);
    const adds = network.ops.flatMap((op, i) => (op.op === 'add' ? [{ op, tensor: i + 1 }] : []));
    expect(blocks.map(({ block, stage }) => [block, stage])).toEqual([
      [1, 1],
      [2, 1],
      [3, 2],
      [4, 3],
    ]);
    adds.forEach(({ op, tensor }, i) => {
      const before = adds[i - 1]?.tensor ?? 1;
      const first = network.ops.findIndex((one) => one.op === 'layer' && one.input === before) + 1;
      for (const [name, at] of [
        ['stream', tensor],
        ['branch', op.inputs[0]],
        ['output', first],
      ] as const) {
        const plain = moments(tensors[at]!);
        expect(blocks[i]![name].variance).toBeCloseTo(plain.variance, 9);
        expect(blocks[i]![name].squaredMean).toBeCloseTo(plain.squaredMean, 9);
      }
    });
  });

  test('have the gradient that differences give', () => {
    const settings = { ...small, depth: 3, width: 1 };
    const { blocks } = inspectLayer(layerOf('tanh(x)'), settings);
    const { network, from, tensors } = plainNetwork(eachValue(Math.tanh), settings);
    const { height, width, channels } = tensorShapes(network).at(-1)!;
    const size = height * width * channels;
    const raw = normalValues(small.images * size, small.seed, 'cotangent');
    const lengths = [0, 1].map((n) => Math.hypot(...raw.subarray(n * size, (n + 1) * size)));
    const u = raw.map((a, i) => a / lengths[Math.floor(i / size)]!);
    const loss = (given: readonly Maps[]) =>
      (from(given).at(-1)!.flat(3) as number[]).reduce((sum, y, i) => sum + y * u[i]!, 0);
    blocksOf(network).forEach(({ stream }, i) => {
      const { height: side, channels: count } = tensorShapes(network)[stream]!;
      const values = tensors[stream]!.flat(3) as number[];
      const moved = (k: number, d: number) => [
        ...tensors.slice(0, stream),
        mapsOf(
          values.map((a, j) => (j === k ? a + d : a)),
          side,
          count,
        ),
      ];
      const squares = values.map(
        (_, k) => ((loss(moved(k, 1e-4)) - loss(moved(k, -1e-4))) / 2e-4) ** 2,
      );
      const norm = Math.sqrt(squares.reduce((a, b) => a + b, 0) / small.images);
      expect(blocks[i]!.gradient! / norm).toBeCloseTo(1, 5);
    });
  });

  const secondMoments = (name: string, depth: number, seed: number) =>
    inspectLayer(zoo(name), {
      ...INSPECTION_DEFAULTS,
      width: 24,
      images: 4,
      depth,
      seed,
    }).blocks.map(({ stream }) => stream.squaredMean! + stream.variance!);

  test('with BN-ReLU grow by 1 in every block, and begin with 2 in every stage', () => {
    // He initialisation makes of every half-rectified unit variance a variance of 1 again, on every branch
    // and on the shortcuts that are convolutions.
    const all = [1, 2, 3, 4].map((seed) => secondMoments('BN-ReLU', 9, seed));
    for (const [block, expected] of [2, 3, 4, 2, 3, 4, 2, 3, 4].entries())
      expect(Math.abs(mean(all.map((one) => one[block]!)) / expected - 1)).toBeLessThan(0.1);
    const growth = all.flatMap((one) => [1, 2, 4, 5, 7, 8].map((i) => one[i]! - one[i - 1]!));
    expect(Math.abs(mean(growth) - 1)).toBeLessThan(0.1);
  });

  test('with ReLU alone are multiplied by nearly 2 in every block, less what the border loses', () => {
    // A branch keeps the second moment, but for the taps of its 3 × 3 convolution that lie outside.
    const inside = (side: number) => ((3 * side - 2) / (3 * side)) ** 2;
    const expected = [8, 4, 2].map((side) => Math.log(1 + inside(side)));
    const logs = [1, 2, 3].map((seed) => secondMoments('ReLU', 9, seed).map(Math.log));
    const growth = mean(logs.map((one) => one[8]! - one[0]!));
    // Two blocks behind the first one in the first stage, three in each of the others.
    const right = 2 * expected[0]! + 3 * expected[1]! + 3 * expected[2]!;
    expect(growth / right).toBeGreaterThan(0.8);
    expect(growth / right).toBeLessThan(1.2);
  });

  test('depend on the seed alone', () => {
    const [once, again] = [0, 0].map((seed) => inspectLayer(zoo('EvoNorm-S0'), { ...small, seed }));
    expect(again).toEqual(once);
    const other = inspectLayer(zoo('EvoNorm-S0'), { ...small, seed: 1 });
    expect(other.blocks).not.toEqual(once!.blocks);
    expect(other.normal).not.toEqual(once!.normal);
  });
});

describe('what leaves single precision', () => {
  test('is told with the first block', () => {
    const settings = { ...small, depth: 6 };
    const { overflow, blocks } = inspectLayer(layerOf('x * x'), settings);
    const { network, tensors } = plainNetwork(
      eachValue((a) => a * a),
      settings,
    );
    const greatest = (from: number, to: number) =>
      Math.max(
        ...tensors
          .slice(from, to)
          .map((maps) => Math.max(...(maps.flat(3) as number[]).map(Math.abs))),
      );
    const sizes = blocksOf(network).map(({ first, stream }) => greatest(first, stream + 1));
    const right = sizes.findIndex((size) => !(size < 2 ** 128)) + 1;
    expect(right).toBeGreaterThan(1);
    expect(overflow.forward).toBe(right);
    // Squares of squares are soon beyond double precision too, and then nothing can be said.
    expect(blocks.at(-1)!.stream.variance).toBeNull();
    expect(blocks.at(-1)!.gradient).toBeNull();
  });

  test('may be gradients alone', () => {
    const { overflow, blocks } = inspectLayer(layerOf('log(log(x))'), { ...small, depth: 20 });
    expect(overflow.forward).toBeNull();
    expect(overflow.backward).toBeGreaterThan(0);
    expect(overflow.backward).toBeLessThan(20);
    expect(blocks[overflow.backward!]!.gradient).toBeLessThan(2 ** 128 * 1000);
    expect(inspectLayer(zoo('BN-ReLU'), small).overflow).toEqual({ forward: null, backward: null });
  });
});

test('outputs of BN-ReLU are those of a half of a normal distribution', () => {
  const { normal, network } = inspectLayer(zoo('BN-ReLU'), { ...INSPECTION_DEFAULTS, depth: 3 });
  expect(normal.output.zeros).toBeCloseTo(0.5, 1);
  expect(normal.output.mean).toBeCloseTo(1 / Math.sqrt(2 * Math.PI), 1);
  expect(normal.output.mean! ** 2 + normal.output.deviation! ** 2).toBeCloseTo(0.5, 2);
  // The 95th percentile of a normal distribution is at 1.645 deviations.
  expect(normal.output.quantiles[5]).toBeCloseTo(1.645, 1);
  expect(normal.input.mean).toBeCloseTo(0, 1);
  expect(network.block).toBe(2);
  expect(network.output.mean! ** 2 + network.output.deviation! ** 2).toBeCloseTo(0.5, 1);
});

test('what would take too much memory is refused', () => {
  expect(() => refuseHuge(zoo('BN-ReLU'), INSPECTION_DEFAULTS)).not.toThrow();
  const huge = { ...INSPECTION_DEFAULTS, depth: 300, width: 256 };
  expect(() => refuseHuge(zoo('BN-ReLU'), huge)).toThrow(UserError);
});
