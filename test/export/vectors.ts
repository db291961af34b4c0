/*
 * Prints, as JSON, the modules of a target and what they must compute: the fp64 interpreter's outputs,
 * gradients and moving statistics. `harness.py` reads it.
 */
import { pathToFileURL } from 'node:url';
import { randomStream } from '../../src/eval/random.ts';
import type { Exported } from '../../src/export/exported.ts';
import {
  CALM,
  calmestGolden,
  type Draws,
  disturbedGolden,
  type Golden,
  numbers,
} from '../../src/export/golden.ts';
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

/** Draws among which one is sought that single precision can follow, and how far it may go astray. */
const ATTEMPTS = 20;
export const SINGLE = 1e-4;
/** How much more than the disturbance another order of the same sums may change. */
const MARGIN = 10;

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

/** Weights, and the batches of two training steps and of inference; `seed` is the first of three. */
function drawsOf(shape: LayerShape, seed: number, scale: number): Draws {
  const draws = [0, 1, 2].map((i) => inputsOf(shape, seed + i, scale)) as [Draw, Draw, Draw];
  const { v0, v1, gamma, beta } = draws[0];
  return { v0, v1, gamma, beta, batches: draws };
}

/** Two training steps on different batches with the same parameters, then inference. */
function caseOf(layer: LayerGraph, wanted: LayerShape, scale = 1) {
  const { golden, change } = disturbedGolden(
    layer,
    wanted,
    DECAY,
    drawsOf(wanted, 1, scale),
    ROUNDING,
  );
  return { change, golden: { ...golden, shape: wanted } };
}

/** What a layer must compute in single precision, relative to the largest entry and to 1. */
export interface SingleCase {
  /** `shape` has the groups that are asked for. */
  readonly golden: Golden;
  /** `SINGLE`, or more where the layer amplifies rounding on every draw. */
  readonly tolerance: number;
}

/** As `caseOf`, of numbers that single precision has, on the first draw on which the layer is calm. */
function singleCase(layer: LayerGraph, wanted: LayerShape, scale = 1): SingleCase {
  const draw = (attempt: number) => rounded(drawsOf(wanted, 3 * attempt - 2, scale));
  const { golden, change } = calmestGolden(layer, wanted, DECAY, draw, ATTEMPTS);
  return {
    golden: { ...golden, shape: wanted },
    tolerance: change < CALM ? SINGLE : Math.max(SINGLE, MARGIN * change),
  };
}

function rounded({ batches, v0, v1, gamma, beta }: Draws): Draws {
  const round = (values: Float64Array) => values.map(Math.fround);
  const [first, second, third] = batches.map(({ x, dy }) => ({ x: round(x), dy: round(dy) }));
  return {
    ...{ v0: round(v0), v1: round(v1), gamma: round(gamma), beta: round(beta) },
    batches: [first!, second!, third!],
  };
}

export const exportedOf = (layer: LayerGraph, zooName: string | null): Exported => ({
  layer,
  genome: genomeOf(layer),
  formula: formatLayer(layer),
  id: '0123456789abcdef',
  structuralKey: 'fedcba9876543210',
  zooName,
  found: null,
  scores: null,
  groups: 32,
  movingDecay: DECAY,
});

interface Subject<Case> {
  readonly name: string;
  readonly layer: LayerGraph;
  readonly kind: 'zoo' | 'special' | 'candidate';
  readonly cases: readonly Case[];
}

const subjects = (): Generator<Subject<Golden>> =>
  subjectsBy((layer, shape, scale) => caseOf(layer, shape, scale).golden, { scaled: ['zoo'] });

/** All layers that a target is tested on, with what they compute in single precision. */
export const singleSubjects = (): Generator<Subject<SingleCase>> =>
  subjectsBy(singleCase, { scaled: ['zoo', 'special'] });

type CaseMaker<Case> = (layer: LayerGraph, shape: LayerShape, scale?: number) => Case;

/** `scaled` are the kinds that get small and large inputs too. */
function* subjectsBy<Case>(
  make: CaseMaker<Case>,
  { scaled }: { scaled: readonly Subject<Case>['kind'][] },
): Generator<Subject<Case>> {
  for (const { name, layer, kind } of known()) {
    const cases = SHAPES.map((shape) => make(layer, shape));
    if (scaled.includes(kind))
      cases.push(...[1e-3, 1e3].map((scale) => make(layer, FULL_SIZE, scale)));
    yield { name, layer, kind, cases };
  }
  for (const [i, layer] of candidates().entries())
    yield { name: `candidate ${i + 1}`, layer, kind: 'candidate', cases: [make(layer, SMALL)] };
}

const known = (): Omit<Subject<never>, 'cases'>[] => [
  ...ZOO.map(({ name, layer }) => ({ name, layer, kind: 'zoo' as const })),
  ...Object.entries(OTHERS).map(([name, text]) => ({
    name,
    layer: parseLayer(text),
    kind: 'special' as const,
  })),
];

/** Random layers as a search makes them: accepted by the probe, most of the ten nodes live. */
function candidates(): LayerGraph[] {
  const space = { genomeNodes: 10, primitiveWeights: {} };
  const found: LayerGraph[] = [];
  for (let i = 0; found.length < CANDIDATES; i++) {
    const layer = layerOf(randomGenome(space, randomStream('export candidate', i)));
    if (layer.nodes.length < 6 || probe(layer).verdict !== 'ok') continue;
    if (caseOf(layer, SMALL).change <= SENSITIVITY) found.push(layer);
  }
  return found;
}

/** As `subjects`, of what single precision can follow, with the tolerance of each case. */
function* singles() {
  for (const { cases, ...subject } of singleSubjects())
    yield { ...subject, cases: cases.map(({ golden, tolerance }) => ({ ...golden, tolerance })) };
}

/**
 * Sources of one target, and what they must compute: in double precision, or in single precision. Sources
 * that are no text come as base64.
 */
async function* vectors(target: TargetName, single = false) {
  for (const { name, layer, kind, cases } of single ? singles() : subjects()) {
    const source = async (layout: 'nchw' | 'nhwc') => {
      const written = TARGETS[target].write(exportedOf(layer, name), {
        className: 'Layer',
        layout,
      });
      const content = await written;
      return typeof content === 'string' ? content : Buffer.from(content).toString('base64');
    };
    yield {
      name,
      kind,
      formula: formatLayer(layer),
      inputs: layer.nodes.map((node) => node.op).filter((op) => op === 'v0' || op === 'v1'),
      sources: { nchw: await source('nchw'), nhwc: await source('nhwc') },
      cases,
    };
  }
}

/** JSON knows neither typed arrays nor the numbers that it would write as null. */
const plain = (_key: string, value: unknown) => {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new Error(`vector has ${value}`);
  return value instanceof Float64Array ? [...value] : value;
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [, , target, precision] = process.argv;
  const all: unknown[] = [];
  for await (const entry of vectors(target as TargetName, precision === 'single')) all.push(entry);
  process.stdout.write(JSON.stringify(all, plain));
}
