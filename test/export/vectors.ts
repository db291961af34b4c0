/*
 * Prints, as JSON, the modules of a target and what they must compute: the fp64 interpreter's outputs,
 * gradients and moving statistics. `harness.py` reads it.
 */
import { pathToFileURL } from 'node:url';
import { randomStream } from '../../src/eval/random.ts';
import type { Exported } from '../../src/export/exported.ts';
import { disturbedGolden, numbers } from '../../src/export/golden.ts';
import { TARGETS, type TargetName } from '../../src/export/targets.ts';
import type { LayerShape } from '../../src/graph/extent.ts';
import { genomeOf, layerOf } from '../../src/graph/genome.ts';
import type { LayerGraph } from '../../src/graph/graph.ts';
import type { LayerInputs } from '../../src/graph/interpreter.ts';
import { probe } from '../../src/graph/keys.ts';
import { formatLayer, parseLayer } from '../../src/graph/text.ts';
import { ZOO } from '../../src/graph/zoo.ts';
import { randomGenome } from '../../src/search/space.ts';

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

const FULL_SIZE = { batch: 3, height: 4, width: 5, channels: 6, groups: 4 };
const SMALL = { batch: 2, height: 2, width: 3, channels: 6, groups: 4 };
const SHAPES = [
  FULL_SIZE,
  { batch: 2, height: 3, width: 3, channels: 8, groups: 32 },
  { batch: 1, height: 2, width: 3, channels: 7, groups: 2 },
  { batch: 1, height: 1, width: 1, channels: 4, groups: 2 },
  { batch: 4, height: 1, width: 1, channels: 5, groups: 1 },
];
const DECAY = 0.9;

/** What rounding does to layers that are compared in double precision. */
const ROUNDING = 1e-12;
/** A layer whose values change by more than this under such rounding cannot be compared. */
const SENSITIVITY = 1e-7;
const CANDIDATES = 200;

type Draw = Required<Omit<LayerInputs, 'statistics'>>;

/** `scale` is that of x. */
function inputsOf(shape: LayerShape, seed: number, scale: number): Draw {
  const next = numbers(seed);
  const { batch, height, width, channels } = shape;
  const draw = (count: number, from: () => number) => Float64Array.from({ length: count }, from);
  const size = batch * height * width * channels;
  // Exact zeros, equal neighbours, and values on both sides of ±ε.
  const special = [0, 0, 0, 0.5, -0.5, 4e-6, -4e-6];
  const x = draw(size, () => {
    const value = 2 * next() + 0.3;
    return scale * (next() < -0.4 ? special[Math.floor((next() + 1) * 3.5)]! : value);
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
function caseOf(layer: LayerGraph, wanted: LayerShape, scale = 1) {
  const draws = [1, 2, 3].map((seed) => inputsOf(wanted, seed, scale)) as [Draw, Draw, Draw];
  const { v0, v1, gamma, beta } = draws[0];
  const data = { v0, v1, gamma, beta, batches: draws };
  const { golden, change } = disturbedGolden(layer, wanted, DECAY, data, ROUNDING);
  return { change, golden: { ...golden, shape: wanted } };
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

interface Subject {
  readonly name: string;
  readonly layer: LayerGraph;
  readonly kind: 'zoo' | 'special' | 'candidate';
  readonly cases: readonly unknown[];
}

function* subjects(): Generator<Subject> {
  const cases = (layer: LayerGraph) => SHAPES.map((shape) => caseOf(layer, shape).golden);
  for (const { name, layer } of ZOO) {
    const scaled = [1e-3, 1e3].map((scale) => caseOf(layer, FULL_SIZE, scale).golden);
    yield { name, layer, kind: 'zoo', cases: [...cases(layer), ...scaled] };
  }
  for (const [name, text] of Object.entries(OTHERS)) {
    const layer = parseLayer(text);
    yield { name, layer, kind: 'special', cases: cases(layer) };
  }
  yield* candidates();
}

/** Random layers as a search makes them: accepted by the probe, most of the ten nodes live. */
function* candidates(): Generator<Subject> {
  const space = { genomeNodes: 10, primitiveWeights: {} };
  let found = 0;
  for (let i = 0; found < CANDIDATES; i++) {
    const layer = layerOf(randomGenome(space, randomStream('export candidate', i)));
    if (layer.nodes.length < 6 || probe(layer).verdict !== 'ok') continue;
    const { golden, change } = caseOf(layer, SMALL);
    if (change > SENSITIVITY) continue;
    found++;
    yield { name: `candidate ${found}`, layer, kind: 'candidate', cases: [golden] };
  }
}

/** Sources of one target, and what they must compute. */
export const vectors = (target: TargetName) =>
  [...subjects()].map(({ name, layer, kind, cases }) => {
    const source = (layout: 'nchw' | 'nhwc') =>
      TARGETS[target].write(exportedOf(layer, name), { className: 'Layer', layout });
    return {
      name,
      kind,
      formula: formatLayer(layer),
      inputs: layer.nodes.map((node) => node.op).filter((op) => op === 'v0' || op === 'v1'),
      sources: { nchw: source('nchw'), nhwc: source('nhwc') },
      cases,
    };
  });

/** JSON knows neither typed arrays nor the numbers that it would write as null. */
const plain = (_key: string, value: unknown) => {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new Error(`vector has ${value}`);
  return value instanceof Float64Array ? [...value] : value;
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  process.stdout.write(JSON.stringify(vectors(process.argv[2] as TargetName), plain));
