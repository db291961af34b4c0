import { describe, expect, test } from 'vitest';
import type { TrainingSetup } from '../../src/eval/engine.ts';
import { initialParameters } from '../../src/eval/initial.ts';
import { invertedBottlenecks } from '../../src/eval/inverted.ts';
import { DECAYED, type Network, parameterLayout } from '../../src/eval/network.ts';
import { below, fillNormal, randomStream } from '../../src/eval/random.ts';
import { referenceEngine } from '../../src/eval/reference.ts';
import { softmaxLoss } from '../../src/eval/reference-ops.ts';
import { resnet } from '../../src/eval/resnet.ts';
import type { LayerGraph } from '../../src/graph/graph.ts';
import { parseLayer } from '../../src/graph/text.ts';

const BATCH = 3;
const setup: TrainingSetup = {
  batch: BATCH,
  groups: 4,
  movingDecay: 0.9,
  momentum: 0.8,
  weightDecay: 0.01,
};

/** Every operation, odd sides, both strides, projected and plain shortcuts, channels that 4 groups do not divide. */
const tiny = resnet({
  name: 'tiny',
  image: { height: 5, width: 3, channels: 2 },
  classes: 3,
  width: 3,
  stages: [1, 2],
  expansion: 2,
});

/** Depthwise convolutions of both strides and squeeze-excite, with and without a wider inside. */
const inverted = invertedBottlenecks({
  name: 'inverted',
  image: { height: 5, width: 3, channels: 2 },
  classes: 3,
  stem: { channels: 3, stride: 1 },
  stages: [
    { expansion: 1, channels: 3, blocks: 1, stride: 1, kernel: 3 },
    { expansion: 2, channels: 4, blocks: 2, stride: 2, kernel: 5 },
  ],
  head: 6,
  squeeze: 2,
});

function randomBatch(network: Network, count: number, seed: string) {
  const { height, width, channels } = network.image;
  const rng = randomStream('batch', seed);
  const images = new Float32Array(count * height * width * channels);
  fillNormal(images, 1, rng);
  const labels = Uint8Array.from({ length: count }, () => below(network.classes, rng));
  return { images, labels };
}

/** Initial parameters with noise on all of them, so that no gradient is special. */
function noisyParameters(network: Network, layer: LayerGraph, seed: string): Float32Array {
  const noise = initialParameters(network, layer, seed);
  fillNormal(noise, 0.1, randomStream('noise', seed));
  return initialParameters(network, layer, seed).map((value, i) => value + noise[i]!);
}

const LAYERS = {
  'BN-ReLU': 'max((x - mean[bwh](x)) / std[bwh](x), 0)',
  'EvoNorm-B0': 'x / max(std[bwh](x), v1 * x + std[wh](x))',
  'EvoNorm-S0': 'x * sigmoid(v1 * x) / std[whc/g](x)',
  'a shifted DyT': 'tanh(v1 * x + v0)',
  'layer normalization of a moment': 'x / rms[whc](x) + mean[bwh](exp(tanh(x)))',
};

const CASES = [tiny, inverted].flatMap((network) =>
  Object.entries(LAYERS).map(([name, formula]) => ({ network, name, formula })),
);

test.each(CASES)(
  'gradients agree with differences: $name in $network.name',
  ({ network, name, formula }) => {
    const layer = parseLayer(formula);
    const session = referenceEngine().open(network, layer, setup);
    const { images, labels } = randomBatch(network, BATCH, name);
    const parameters = noisyParameters(network, layer, name);
    const lossAt = (p: Float32Array) => {
      session.load(p);
      return session.gradients(images, labels).loss;
    };
    session.load(parameters);
    const { gradients } = session.gradients(images, labels);
    const rng = randomStream('which', name);
    for (const { kind, offset, size } of parameterLayout(network, layer)) {
      const i = offset + below(size, rng);
      const [up, down] = [parameters.slice(), parameters.slice()];
      up[i]! += 2 ** -14;
      down[i]! -= 2 ** -14;
      const slope = (lossAt(up) - lossAt(down)) / (up[i]! - down[i]!);
      const scale = Math.max(...gradients.subarray(offset, offset + size).map(Math.abs));
      expect(Math.abs(slope - gradients[i]!), `${kind} ${i}`).toBeLessThan(1e-5 + 1e-3 * scale);
    }
  },
);

describe('training', () => {
  const layer = parseLayer(LAYERS['EvoNorm-B0']);
  const parameters = noisyParameters(tiny, layer, 'training');
  const batches = ['one', 'two', 'three'].map((seed) => randomBatch(tiny, BATCH, seed));

  test('is SGD with Nesterov momentum, and decays the weights of its operations alone', () => {
    const session = referenceEngine().open(tiny, layer, setup);
    const probe = referenceEngine().open(tiny, layer, setup);
    session.load(parameters);
    const decayed = parameterLayout(tiny, layer).flatMap(({ kind, size }) =>
      new Array<number>(size).fill(DECAYED.has(kind) ? setup.weightDecay : 0),
    );
    let weights = parameters;
    let momentum = parameters.map(() => 0);
    for (const [step, { images, labels }] of batches.entries()) {
      const rate = 0.1 / (step + 1);
      probe.load(weights);
      const { loss, gradients } = probe.gradients(images, labels);
      expect(session.trainStep(images, labels, rate)).toBeCloseTo(loss, 5);
      const g = gradients.map((value, i) => value + decayed[i]! * weights[i]!);
      momentum = momentum.map((m, i) => setup.momentum * m + g[i]!);
      weights = weights.map((w, i) => w - rate * (g[i]! + setup.momentum * momentum[i]!));
      const actual = session.parameters();
      weights.forEach((w, i) => {
        expect(actual[i]).toBeCloseTo(w, 5);
      });
    }
  });

  test('starts again from a load', () => {
    const session = referenceEngine().open(tiny, layer, setup);
    const run = () => {
      session.load(parameters);
      const losses = batches.map(({ images, labels }) => session.trainStep(images, labels, 0.1));
      const { images, labels } = batches[0]!;
      return { losses, parameters: session.parameters(), score: session.evaluate(images, labels) };
    };
    expect(run()).toEqual(run());
  });

  test('gradients change nothing', () => {
    const session = referenceEngine().open(tiny, layer, setup);
    session.load(parameters);
    const { images, labels } = batches[0]!;
    session.trainStep(images, labels, 0.1);
    const before = [session.parameters(), session.evaluate(images, labels)];
    session.gradients(images, labels);
    expect([session.parameters(), session.evaluate(images, labels)]).toEqual(before);
  });
});

describe('inference', () => {
  test('scores images one by one as it does together', () => {
    const layer = parseLayer(LAYERS['layer normalization of a moment']);
    const session = referenceEngine().open(tiny, layer, setup);
    session.load(noisyParameters(tiny, layer, 'inference'));
    const train = randomBatch(tiny, BATCH, 'train');
    session.trainStep(train.images, train.labels, 0.1);
    const { images, labels } = randomBatch(tiny, 7, 'validate');
    const size = images.length / 7;
    const single = [...labels.keys()].map((i) =>
      session.evaluate(images.subarray(i * size, (i + 1) * size), labels.subarray(i, i + 1)),
    );
    const together = session.evaluate(images, labels);
    expect(together.correct).toBe(single.reduce((sum, { correct }) => sum + correct, 0));
    expect(together.loss).toBeCloseTo(single.reduce((sum, { loss }) => sum + loss, 0) / 7, 10);
  });

  test('uses moving statistics, which start at 1 and decay towards those of the batches', () => {
    // One pixel, one channel; logits are x / √(s + ε) and its negative.
    const network: Network = {
      name: 'pixel',
      image: { height: 1, width: 1, channels: 1 },
      classes: 2,
      ops: [
        { op: 'layer', input: 0 },
        { op: 'pool', input: 1 },
        { op: 'dense', input: 2, units: 2 },
      ],
    };
    const session = referenceEngine().open(network, parseLayer('x / std[bwh](x)'), setup);
    // γ, β, the two weights, the two biases.
    session.load(Float32Array.of(1, 0, 1, -1, 0, 0));
    const [images, labels] = [Float32Array.of(2, 4, 9), Uint8Array.of(0, 0, 0)];
    const variance = 26 / 3;
    let moving = 1;
    for (let step = 0; step < 3; step++) {
      const z = 4 / Math.sqrt(moving + 1e-5);
      const { loss } = session.evaluate(Float32Array.of(4), Uint8Array.of(0));
      expect(loss).toBeCloseTo(Math.log(1 + Math.exp(-2 * z)), 10);
      session.trainStep(images, labels, 0);
      moving = 0.9 * moving + 0.1 * variance;
    }
  });
});

test('the loss is the mean of −ln softmax, whatever the size of the logits', () => {
  const { loss, gradient, correct } = softmaxLoss(
    Float64Array.of(1, 2, 3, 1000, 1001, 1000),
    Uint8Array.of(0, 1),
  );
  const first = Math.log(Math.exp(1) + Math.exp(2) + Math.exp(3)) - 1;
  const second = Math.log(1 + 2 * Math.exp(-1));
  expect(loss).toBeCloseTo((first + second) / 2, 12);
  expect(correct).toBe(1);
  expect(gradient[0]).toBeCloseTo((Math.exp(-first) - 1) / 2, 12);
  expect(gradient[4]).toBeCloseTo((Math.exp(-second) - 1) / 2, 12);
});

test('logits that are not finite have no class and no finite loss', () => {
  const { loss, correct } = softmaxLoss(Float64Array.of(Number.NaN, 0), Uint8Array.of(0));
  expect(loss).toBeNaN();
  expect(correct).toBe(0);
});
