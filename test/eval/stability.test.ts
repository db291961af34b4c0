import { describe, expect, test } from 'vitest';
import { ANCHORS, anchorNamed } from '../../src/eval/anchors.ts';
import { type Batch, BatchStream } from '../../src/eval/batches.ts';
import { loadDataset } from '../../src/eval/data.ts';
import type { Engine, Session } from '../../src/eval/engine.ts';
import { initialParameters } from '../../src/eval/initial.ts';
import { nativeEngine } from '../../src/eval/native/engine.ts';
import { type Network, parameterLayout } from '../../src/eval/network.ts';
import { referenceEngine } from '../../src/eval/reference.ts';
import {
  ascend,
  GradientNorm,
  gradientsOf,
  STABILITY,
  type StabilitySettings,
} from '../../src/eval/stability.ts';
import type { LayerGraph } from '../../src/graph/graph.ts';
import { parseLayer } from '../../src/graph/text.ts';
import { ZOO } from '../../src/graph/zoo.ts';

interface Scene {
  readonly network: Network;
  readonly layer: LayerGraph;
  readonly start: Float32Array;
  readonly batch: Batch;
  readonly open: (engine: Engine) => Session;
}

/** By how many pixels are averaged; loading takes longer than most of what is done with it. */
const datasets = [2, 4].map((pool) => [pool, loadDataset('fashion-mnist', { pool })] as const);

/** A mini on averaged Fashion-MNIST, as evaluations begin with it. */
function sceneOf(anchor: string, layer: LayerGraph, pool: number, images: number): Scene {
  const { train, image, classes, mean, std } = datasets.find(([of]) => of === pool)![1];
  const network = anchorNamed(anchor).network(image, classes);
  const source = { split: train, image, black: -mean / std };
  const setup = { batch: images, groups: 8, movingDecay: 0.9, momentum: 0.9, weightDecay: 1e-4 };
  return {
    ...{ network, layer },
    start: initialParameters(network, layer, 'seed'),
    batch: new BatchStream(source, images, { pad: 1, flip: true }, 'seed').next(),
    open: (engine) => engine.open(network, layer, setup),
  };
}

function gradientNorm<T>(scene: Scene, engine: Engine, work: (gradient: GradientNorm) => T): T {
  const session = scene.open(engine);
  try {
    return work(new GradientNorm(session, scene, scene.start, scene.batch));
  } finally {
    session.close();
  }
}

const lengthOf = (vector: readonly number[]) => Math.sqrt(dot(vector, vector));
const dot = (a: readonly number[], b: readonly number[]) =>
  a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const along = (a: readonly number[], step: number, b: readonly number[]) =>
  a.map((value, i) => value + step * b[i]!);

const zoo = (name: string): LayerGraph => ZOO.find((known) => known.name === name)!.layer;
const minis = [...ANCHORS.keys()].filter((name) => name.startsWith('mini-'));
const UNNORMALIZED = ['DyT', 'ReLU', 'SiLU'];
const normalizing = ZOO.filter(({ name }) => !UNNORMALIZED.includes(name));

describe.each(minis)('on %s', (anchor) => {
  const ascentOf = (layer: LayerGraph) =>
    gradientNorm(sceneOf(anchor, layer, 2, 8), nativeEngine(), (gradient) =>
      ascend(gradient, STABILITY),
    );

  test.each(normalizing)('$name is stable', ({ layer }) => {
    // The threshold is five orders of magnitude above what these come to.
    expect(ascentOf(layer)).toMatchObject({ greatestNorm: expect.toSatisfy((n) => n < 1e4) });
  });

  test.each([
    'x',
    'max(x, 0)',
    'x * sigmoid(x)',
    'square(x)',
    'x * exp(x)',
    'x * abs(x)',
    'square(x) / std[bwh](x) * x',
    'x / v0',
  ])('%s blows up', (formula) => {
    const found = ascentOf(parseLayer(formula));
    expect(found).toMatchObject({ ascentStep: expect.any(Number) });
    const { gradientNorm } = found as { gradientNorm: number };
    expect(gradientNorm <= STABILITY.threshold).toBe(false);
  });
});

describe('H·u, in single precision', () => {
  /** The convolution weights as the reference engine sees them, in double precision. */
  function reference({ network, layer, start, batch, open }: Scene) {
    const session = open(referenceEngine());
    const places = parameterLayout(network, layer)
      .filter(({ kind }) => kind === 'conv' || kind === 'depthwise')
      .flatMap(({ offset, size }) => Array.from({ length: size }, (_, i) => offset + i));
    const at = (weights: readonly number[]) => {
      const parameters = Float64Array.from(start);
      for (const [i, place] of places.entries()) parameters[place] = weights[i]!;
      // Its parameters are doubles, which is more than engines promise.
      session.load(parameters as unknown as Float32Array);
      const { loss, gradients } = session.gradients(batch.images, batch.labels);
      return { loss, gradient: places.map((place) => gradients[place]!) };
    };
    return { weights: places.map((place) => start[place]!), at };
  }

  test.each([
    ['EvoNorm-S0', 'mini-wide'],
    ['BN-SiLU', 'mini-deep'],
    ['RMSNorm-SiLU', 'mini-mobile'],
    ['DyT', 'mini-efficient'],
    ['EvoNorm-S0', 'mini-efficient'],
  ])('of %s in %s is that of double precision', (name, anchor) => {
    const scene = sceneOf(anchor, zoo(name), 4, 8);
    const { weights, at } = reference(scene);
    const { gradient } = at(weights);
    const norm = lengthOf(gradient);
    const u = gradient.map((g) => g / norm);
    const central = (h: number) => {
      const [above, below] = [at(along(weights, h, u)), at(along(weights, -h, u))];
      return above.gradient.map((g, i) => (g - below.gradient[i]!) / (2 * h));
    };
    const h = 1e-6 * lengthOf(weights);
    // Richardson's extrapolation: what is left of the error is of the fourth order, and rounding.
    const [fine, coarse] = [central(h), central(2 * h)];
    const exact = fine.map((value, i) => (4 * value - coarse[i]!) / 3);

    const found = gradientNorm(scene, nativeEngine(), (gradient) =>
      gradient.slope(gradient.weights(), STABILITY.difference),
    );
    expect(Math.abs(found.norm / norm - 1)).toBeLessThan(1e-4);
    const error = lengthOf(along([...found.ascent!], -1, exact));
    expect(error / lengthOf(exact)).toBeLessThan(0.01);

    // And by losses alone, whatever the gradients are: uᵀH·w in the direction w of H·u.
    const w = exact.map((value) => value / lengthOf(exact));
    const lossAt = (a: number, b: number) => at(along(along(weights, a * h, u), b * h, w)).loss;
    const mixed = lossAt(1, 1) - lossAt(1, -1) - lossAt(-1, 1) + lossAt(-1, -1);
    expect(mixed / (4 * h * h) / lengthOf(exact)).toBeCloseTo(1, 2);
    expect((lossAt(1, 0) - lossAt(-1, 0)) / (2 * h) / norm).toBeCloseTo(1, 2);
  });
});

/** A session without arithmetic, whose gradient in the convolution weights is given. */
function scripted(gradientAt: (weights: readonly number[]) => readonly number[]) {
  const layer = parseLayer('x');
  const network: Network = {
    ...{ name: 'toy', image: { height: 1, width: 1, channels: 2 }, classes: 2 },
    ops: [
      { op: 'conv', input: 0, kernel: 1, stride: 1, channels: 1 },
      { op: 'layer', input: 1 },
      { op: 'depthwise', input: 2, kernel: 1, stride: 1 },
      { op: 'pool', input: 3 },
      { op: 'dense', input: 4, units: 2 },
    ],
  };
  /** Two of the convolution, γ and β, one of the depthwise convolution, and those of the classifier. */
  const moved = [0, 1, 4];
  const loaded: Float32Array[] = [];
  const session = {
    load: (parameters: Float32Array) => loaded.push(parameters.slice()),
    gradients: () => {
      const last = loaded.at(-1)!;
      const gradients = new Float32Array(last.length).fill(1e6);
      const values = gradientAt(moved.map((i) => last[i]!));
      for (const [k, i] of moved.entries()) gradients[i] = values[k]!;
      return { loss: 0, gradients };
    },
  } satisfies Pick<Session, 'load' | 'gradients'>;
  const start = Float32Array.from([3, 0, 7, 8, 4, 5, 5, 5, 5]);
  const batch = { images: new Float32Array(2), labels: new Uint8Array(1) };
  return { loaded, gradient: new GradientNorm(session, { network, layer }, start, batch) };
}

describe('an ascent', () => {
  const test5: StabilitySettings = {
    ...{ steps: 5, threshold: 1e8, learningRate: 0.1, difference: 0.01, images: 1 },
  };
  /** Of ½·Σ a·θ², whose Hessian is diagonal. */
  const quadratic = (weights: readonly number[]) => weights.map((w, i) => [1, 2, 10][i]! * w);

  test('goes along H·u, a share of the length of the weights far, and moves convolutions alone', () => {
    const { gradient, loaded } = scripted(quadratic);
    // g = (3, 0, 40), so that ‖g‖ is 40.11, and ∂‖g‖/∂θ = A·g/‖g‖.
    const { norm, ascent } = gradient.slope(Float64Array.of(3, 0, 4), 0.1);
    expect(norm).toBeCloseTo(Math.sqrt(1609), 4);
    expect([...ascent!].map((a) => a * norm)).toEqual([3, 0, 400].map((a) => expect.closeTo(a, 2)));

    ascend(gradient, { ...test5, steps: 1, difference: 0.1 });
    const last = loaded.at(-1)!;
    // From (3, 0, 4), which is 5 long, half a unit along (3, 0, 400).
    const half = 0.5 / Math.hypot(3, 400);
    expect(last[0]).toBeCloseTo(3 + 3 * half, 4);
    expect(last[4]).toBeCloseTo(4 + 400 * half, 4);
    for (const parameters of loaded)
      expect([...parameters].filter((_, i) => ![0, 1, 4].includes(i))).toEqual([7, 8, 5, 5, 5, 5]);
  });

  test('tells the last norm and the greatest one', () => {
    // Past 6, the gradient falls again.
    const peak = scripted(([, , c]) => [0, 0, c! < 6 ? c! : 12 - c!]);
    const found = ascend(peak.gradient, { ...test5, steps: 2, learningRate: 0.6 });
    // 4 + 0.6·5, and from there 0.6·√(3² + 7²) back.
    const last = expect.closeTo(7 - 0.6 * Math.sqrt(58), 4);
    expect(found).toEqual({
      gradientNorm: last,
      greatestNorm: expect.closeTo(5, 4),
      greatestAt: 1,
    });
    expect(peak.loaded).toHaveLength(gradientsOf({ steps: 2 }));
  });

  test('ends where the norm is above the threshold', () => {
    const { gradient } = scripted(quadratic);
    // Up to 40.11·(1 + …), step by step.
    const norms = [0, 1, 2, 3].map((steps) => {
      const found = ascend(scripted(quadratic).gradient, { ...test5, steps: Math.max(1, steps) });
      return (found as { gradientNorm: number }).gradientNorm;
    });
    const threshold = (norms[2]! + norms[3]!) / 2;
    expect(ascend(gradient, { ...test5, threshold })).toEqual({
      ascentStep: 3,
      gradientNorm: norms[3],
    });
    expect(ascend(scripted(quadratic).gradient, { ...test5, steps: 2, threshold })).toMatchObject({
      greatestAt: 2,
    });
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])('ends at a gradient of %d', (value) => {
    const at = (limit: number) =>
      ascend(scripted(([, , c]) => [0, 0, c! > limit ? value : 1]).gradient, test5);
    expect(at(0)).toEqual({ ascentStep: 0, gradientNorm: value });
    // As near to the start as gradients are compared.
    expect(at(4.001)).toMatchObject({
      ascentStep: 0,
      gradientNorm: expect.not.toSatisfy(Number.isFinite),
    });
  });

  test.each([0, 1])('has nowhere to go where the gradient is always %d', (value) => {
    const { gradient, loaded } = scripted(() => [0, 0, value]);
    expect(ascend(gradient, test5)).toEqual({
      ...{ gradientNorm: value, greatestNorm: value, greatestAt: 0 },
    });
    expect(loaded.length).toBeLessThanOrEqual(3);
  });

  test('can be given up between steps', () => {
    const { gradient, loaded } = scripted(quadratic);
    expect(ascend(gradient, test5, () => loaded.length < 6)).toBeNull();
    expect(loaded).toHaveLength(6);
  });
});
