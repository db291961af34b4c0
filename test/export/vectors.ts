/*
 * Prints, as JSON, exported PyTorch modules and what they must compute: the fp64 interpreter's outputs,
 * gradients and moving statistics. `test_pytorch.py` runs the modules against it.
 */
import { pathToFileURL } from 'node:url';
import type { Exported } from '../../src/export/exported.ts';
import { goldenOn, numbers } from '../../src/export/golden.ts';
import { pytorch } from '../../src/export/pytorch.ts';
import type { LayerShape } from '../../src/graph/extent.ts';
import { genomeOf } from '../../src/graph/genome.ts';
import type { LayerGraph } from '../../src/graph/graph.ts';
import type { LayerInputs } from '../../src/graph/interpreter.ts';
import { formatLayer, parseLayer } from '../../src/graph/text.ts';
import { ZOO } from '../../src/graph/zoo.ts';

/** Every op, every index set, moments of moments, values of every extent, and a constant. */
const OTHERS = {
  Guards: '(1 - v0) / x + log(x) * sqrt(x) - abs(x)',
  Logs: 'log(x) / sqrt(v0 + x) + square(tanh(x))',
  Exponentials: 'exp(-abs(x)) * max(x, v0 * x) / (1 + exp(v0))',
  Ties: 'max(x, abs(x)) + max(x, -x) + max(0, sqrt(x))',
  BatchMean: 'x - mean[bwh](x * v1) + rms[bwh](mean[whc/g](x)) * x',
  BatchOfImages: 'x * std[bwh](mean[whc](x)) + mean[bwh](mean[wh](v1) * x)',
  Groups: 'x / (rms[whc/g](x - mean[whc/g](x)) + std[whc/g](v1 * mean[bwh](x)))',
  GroupsOfNothing: 'x * mean[whc/g](std[whc](x)) - std[whc](rms[wh](x)) + mean[bwh](v0)',
  Constant: 'x + mean[wh](1 + 1) * sigmoid(tanh(1))',
  Narrow: 'std[wh](x) + v1',
};

const SHAPES = [
  { batch: 3, height: 4, width: 5, channels: 6, groups: 4 },
  { batch: 2, height: 3, width: 3, channels: 8, groups: 32 },
  { batch: 1, height: 2, width: 3, channels: 7, groups: 2 },
  { batch: 1, height: 1, width: 1, channels: 4, groups: 2 },
  { batch: 4, height: 1, width: 1, channels: 5, groups: 1 },
];
const DECAY = 0.9;

type Draw = Required<Omit<LayerInputs, 'statistics'>>;

function inputsOf(shape: LayerShape, seed: number): Draw {
  const next = numbers(seed);
  const { batch, height, width, channels } = shape;
  const draw = (count: number, from: () => number) => Float64Array.from({ length: count }, from);
  const size = batch * height * width * channels;
  // Exact zeros, equal neighbours, and values on both sides of ±ε.
  const special = [0, 0, 0, 0.5, -0.5, 4e-6, -4e-6];
  const x = draw(size, () => {
    const value = 2 * next() + 0.3;
    return next() < -0.4 ? special[Math.floor((next() + 1) * 3.5)]! : value;
  });
  return {
    x,
    dy: draw(size, next),
    v0: draw(channels, () => 0.3 * next()),
    v1: draw(channels, () => 1 + 0.4 * next()),
    gamma: draw(channels, () => 1 + 0.3 * next()),
    beta: draw(channels, next),
  };
}

/** Two training steps on different batches with the same parameters, then inference. */
function caseOf(layer: LayerGraph, wanted: LayerShape) {
  const batches = [1, 2, 3].map((seed) => inputsOf(wanted, seed)) as [Draw, Draw, Draw];
  const { v0, v1, gamma, beta } = batches[0];
  return { ...goldenOn(layer, wanted, DECAY, { v0, v1, gamma, beta, batches }), shape: wanted };
}

export const exportedOf = (layer: LayerGraph, zooName: string | null): Exported => ({
  layer,
  genome: genomeOf(layer),
  formula: formatLayer(layer),
  id: '0123456789abcdef',
  structuralKey: 'fedcba9876543210',
  zooName,
  scores: null,
  groups: 32,
  movingDecay: DECAY,
});

export function vectors() {
  const others = Object.entries(OTHERS).map(([name, text]) => ({ name, layer: parseLayer(text) }));
  return [...ZOO, ...others].map(({ name, layer }) => {
    const source = (layout: 'nchw' | 'nhwc') =>
      pytorch(exportedOf(layer, name), { className: 'Layer', layout });
    return {
      name,
      inputs: layer.nodes.map((node) => node.op).filter((op) => op === 'v0' || op === 'v1'),
      sources: { nchw: source('nchw'), nhwc: source('nhwc') },
      cases: SHAPES.map((shape) => caseOf(layer, shape)),
    };
  });
}

/** JSON knows neither typed arrays nor the numbers that it would write as null. */
const plain = (_key: string, value: unknown) => {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new Error(`vector has ${value}`);
  return value instanceof Float64Array ? [...value] : value;
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  process.stdout.write(JSON.stringify(vectors(), plain));
