import { expect } from 'vitest';
import { fillNormal, type RandomGenerator, randomStream } from '../../../src/eval/random.ts';
import { movingMoments } from '../../../src/graph/adjoint.ts';
import type { LayerShape } from '../../../src/graph/extent.ts';
import type { LayerGraph } from '../../../src/graph/graph.ts';
import { inferLayer, trainLayer } from '../../../src/graph/interpreter.ts';
import { moments } from '../../../src/graph/ops.ts';
import { formatLayer } from '../../../src/graph/text.ts';
import { type LayerArrays, type LayerResult, type Run, runLayer } from './layer-harness.ts';
import { simulated } from './simulator.ts';

/** Something that runs programs: a factory of memory and a way to run on it. */
export interface Backend {
  readonly lanes: number;
  readonly machine: (
    floats: number,
    images: number,
  ) => { arena: Float32Array | Float64Array; run: Run };
}

export interface Tolerances {
  /** Greatest error, as a share of the largest entry. */
  readonly output: number;
  readonly gradient: number;
}

/** Channels below, at and above the lane counts and not multiples of them; batch 1; 1×1 images; one group, and groups of one. */
export const SHAPES: readonly LayerShape[] = [
  { batch: 3, height: 4, width: 4, channels: 8, groups: 2 },
  { batch: 2, height: 5, width: 3, channels: 6, groups: 3 },
  { batch: 1, height: 7, width: 7, channels: 5, groups: 1 },
  { batch: 4, height: 1, width: 1, channels: 16, groups: 4 },
  { batch: 2, height: 9, width: 13, channels: 12, groups: 12 },
  { batch: 2, height: 6, width: 6, channels: 40, groups: 8 },
  // An image of more than one tile.
  { batch: 1, height: 19, width: 15, channels: 16, groups: 4 },
];

/** Of the entries of x. */
export interface Distribution {
  readonly mean: number;
  readonly deviation: number;
}

const UNIT: Distribution = { mean: 0.3, deviation: 1 };

/** Mean of each parameter's entries; the deviation is 0.1, which keeps them away from 0 and 1, where quotients and logarithms lose digits. */
const PARAMETERS = { v0: 0.5, v1: 1.5, gamma: 1, beta: 0.5 } as const;

/** Inputs of unit scale, some of them exactly zero or equal to others. */
export function randomArrays(
  shape: LayerShape,
  rng: RandomGenerator,
  { mean, deviation }: Distribution = UNIT,
): LayerArrays {
  const normal = (length: number, mean: number, deviation: number) => {
    const values = new Float32Array(length);
    fillNormal(values, deviation, rng);
    return Float64Array.from(values, (value) => Math.fround(value + mean));
  };
  const size = shape.batch * shape.height * shape.width * shape.channels;
  const x = normal(size, mean, deviation);
  if (mean < 1) for (let i = 0; i < size; i += 11) x[i] = 0;
  const parameters = Object.fromEntries(
    Object.entries(PARAMETERS).map(([name, mean]) => [name, normal(shape.channels, mean, 0.1)]),
  ) as Record<keyof typeof PARAMETERS, Float64Array>;
  return { x, dy: normal(size, 0, 1), ...parameters };
}

/** A layer, its inputs, and what it gives in double precision. */
export interface Case {
  readonly layer: LayerGraph;
  readonly shape: LayerShape;
  readonly arrays: LayerArrays;
  /** What dx is added to. */
  readonly before: Float64Array;
  readonly halos: readonly [number, number, number, number];
  readonly want: Results;
  /** The same with every operation rounded to fp32. */
  readonly rounded: Results;
}

export type Results = Omit<LayerResult, 'moving'>;

/** The case of `layer` with inputs and a shape that `seed` determines. */
export function caseOf(layer: LayerGraph, seed = 1, distribution = UNIT): Case {
  const shape = SHAPES[seed % SHAPES.length]!;
  const rng = randomStream('compare', seed);
  const arrays = randomArrays(shape, rng, distribution);
  const before = randomArrays(shape, rng).x;
  const halo = () => (rng.next() >>> 0) % 2;
  const halos = [halo(), halo(), halo(), halo()] as const;
  const rounded = runLayer(layer, shape, arrays, simulated.lanes, (floats) => ({
    ...simulated.machine(floats, shape.batch),
    arena: new Float32Array(floats),
  }));
  return { layer, shape, arrays, before, halos, want: interpret(layer, shape, arrays), rounded };
}

/**
 * Runs a layer on `backend`, forward, backward and at inference, and expects what the interpreter gives; the
 * tolerance widens as `expectResults` says, but not for the simulator in fp64, or a compiler that is wrong would
 * excuse itself. Returns whether it had to.
 */
export function expectEqual(one: Case, backend: Backend, tolerances: Tolerances): boolean {
  const { layer, shape, arrays, before, halos } = one;
  const got = runLayer(layer, shape, arrays, backend.lanes, backend.machine, { halos, before });
  const leniency = backend === simulated ? FP64_LENIENCY : 10;
  const dx = got.dx.map((value, i) => value - before[i]!);
  return expectResults(one, { ...got, dx }, tolerances, leniency);
}

/**
 * Expects what the interpreter gives. Some graphs lose digits in any fp32 arithmetic (a quotient near a pole, a
 * difference of equals): where the simulator, rounding to fp32 after every operation, is off, the tolerance
 * widens by `leniency` times that. Returns whether it had to.
 */
export function expectResults(
  { layer, shape, want, rounded }: Case,
  got: Results,
  tolerances: Tolerances,
  leniency = 10,
): boolean {
  let widened = false;
  for (const name of ['y', 'inferred', 'dx', 'dv0', 'dv1', 'dgamma', 'dbeta'] as const) {
    const tolerance = name === 'y' || name === 'inferred' ? tolerances.output : tolerances.gradient;
    // Sums that cancel leave rounding errors of their terms, which are of unit scale, one per pixel.
    const pixels = shape.batch * shape.height * shape.width;
    const floor = { y: 0.1, inferred: 0.1, dx: 1 }[name as string] ?? 0.02 * pixels;
    const what = `${name} of ${formatLayer(layer)}`;
    const lost = { rounded: rounded[name], leniency };
    if (expectClose(got[name], want[name], lost, tolerance, floor, what)) widened = true;
  }
  return widened;
}

export const compareWithInterpreter = (
  layer: LayerGraph,
  backend: Backend,
  tolerances: Tolerances,
  seed = 1,
  distribution = UNIT,
): boolean => expectEqual(caseOf(layer, seed, distribution), backend, tolerances);

/** What is lost in fp64, as a share of what is lost in fp32, and a margin: 2⁻²⁹ would be all. */
const FP64_LENIENCY = 1e-6;

/** Beyond this, fp32 overflows on the way. */
const LARGEST = 1e12;

function interpret(layer: LayerGraph, shape: LayerShape, arrays: LayerArrays): Results {
  const { statistics, ...trained } = trainLayer(layer, shape, arrays);
  const initial = movingMoments(layer).map(({ op }) => moments[op].initialStatistic);
  const moved = statistics.map((batch, slot) => batch.map((s) => 0.9 * initial[slot]! + 0.1 * s));
  return { ...trained, inferred: inferLayer(layer, shape, { ...arrays, statistics: moved }).y };
}

/** Returns whether the tolerance had to be widened. */
function expectClose(
  got: Float64Array,
  want: Float64Array,
  { rounded, leniency }: { readonly rounded: Float64Array; readonly leniency: number },
  tolerance: number,
  floor: number,
  what: string,
): boolean {
  const largest = Math.max(floor, ...want.map(Math.abs));
  const lost = Math.max(...want.map((value, i) => Math.abs(value - rounded[i]!)));
  // Too large for fp32, here or on the way.
  if (!(largest < LARGEST) || !Number.isFinite(lost)) return true;
  const allowed = tolerance * largest + leniency * lost;
  for (const [i, value] of want.entries())
    if (!(Math.abs(got[i]! - value) <= allowed))
      expect.fail(
        `${what}: entry ${i} is ${got[i]}, not ${value} (largest ${largest}, allowed ${allowed})`,
      );
  return lost > 0.1 * tolerance * largest;
}
