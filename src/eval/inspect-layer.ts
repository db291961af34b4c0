import { trainingGraph } from '../graph/adjoint.ts';
import { effectiveGroups, FULL, type LayerShape, sizeOf } from '../graph/extent.ts';
import type { LayerGraph } from '../graph/graph.ts';
import { Program } from '../graph/program.ts';
import { quantile } from './quantile.ts';
import { fillNormal, randomStream } from './random.ts';
import { singularValues } from './singular-values.ts';

/** Which part of the values lies below each quantile that is told. */
export const QUANTILES = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99] as const;

/** Of some values; null where one of them is not finite. */
export interface Moments {
  readonly mean: number | null;
  /** Their standard deviation. */
  readonly deviation: number | null;
}

export interface Distribution extends Moments {
  /** At QUANTILES, of the finite values. */
  readonly quantiles: readonly number[];
  /** Shares of all values. */
  readonly zeros: number;
  readonly notFinite: number;
  /** Of the finite values, in bins of equal width from the 0.5th to the 99.5th percentile; the last one holds its end. */
  readonly histogram: {
    readonly from: number;
    readonly to: number;
    readonly below: number;
    readonly above: number;
    readonly counts: readonly number[];
  };
}

const BINS = 32;

export function momentsOfAll(values: Float64Array): Moments {
  const mean = meanOf(values, (a) => a);
  const variance = meanOf(values, (a) => (a - mean) ** 2);
  return { mean: finiteOrNull(mean), deviation: finiteOrNull(Math.sqrt(variance)) };
}

export const finiteOrNull = (value: number): number | null =>
  Number.isFinite(value) ? value : null;

function meanOf(values: Float64Array, of: (value: number) => number): number {
  let sum = 0;
  for (const value of values) sum += of(value);
  return sum / values.length;
}

export function distributionOf(values: Float64Array): Distribution {
  const sorted = values.filter(Number.isFinite).sort();
  return {
    ...momentsOfAll(values),
    quantiles: sorted.length > 0 ? QUANTILES.map((share) => quantile(sorted, share)) : [],
    zeros: values.filter((a) => a === 0).length / values.length,
    notFinite: 1 - sorted.length / values.length,
    histogram: histogramOf(sorted),
  };
}

function histogramOf(sorted: Float64Array): Distribution['histogram'] {
  const counts: number[] = new Array(BINS).fill(0);
  const histogram = { from: 0, to: 1, below: 0, above: 0, counts };
  if (sorted.length === 0) return histogram;
  histogram.from = quantile(sorted, 0.005);
  histogram.to = quantile(sorted, 0.995);
  // All values are the same, or nearly.
  if (histogram.to === histogram.from) histogram.to = histogram.from + 1;
  const { from, to } = histogram;
  for (const value of sorted)
    if (value < from) histogram.below++;
    else if (value > to) histogram.above++;
    else counts[Math.min(BINS - 1, Math.floor((BINS * (value - from)) / (to - from)))]!++;
  return histogram;
}

/** Normal values of mean 0 and variance 1. */
export function normalValues(count: number, ...key: readonly (string | number)[]): Float64Array {
  const values = new Float32Array(count);
  fillNormal(values, 1, randomStream('inspect', ...key));
  return Float64Array.from(values);
}

/** How the outputs of a layer follow its inputs, at starting values, on normal input. */
export interface JacobianSummary {
  /** Rows and columns. */
  readonly size: number;
  /** Of ∂y_i / ∂x_i. */
  readonly diagonal: Moments;
  /** In descending order; empty where an entry of the Jacobian is not finite. */
  readonly singularValues: readonly number[];
  /** √ of the mean of their squares: what a random small change of the input is multiplied by. */
  readonly gain: number | null;
  /** Share of directions that reach the output with less than a thousandth of the greatest singular value. */
  readonly flat: number | null;
}

/** Small, for the time that singular values take grows with the cube of it. */
const JACOBIAN = { batch: 4, height: 3, width: 3, channels: 8 } as const;
const FLAT = 1e-3;

/** Throws an internal error where singular values are not found. */
export function jacobianSummary(layer: LayerGraph, groups: number, seed: number): JacobianSummary {
  const shape = { ...JACOBIAN, groups: effectiveGroups(JACOBIAN.channels, groups) };
  const x = normalValues(sizeOf(FULL, shape), seed, 'jacobian');
  const rows = jacobian(layer, shape, x);
  const diagonal = momentsOfAll(Float64Array.from(rows, (row, i) => row[i]!));
  if (!rows.every((row) => row.every(Number.isFinite)))
    return { size: rows.length, diagonal, singularValues: [], gain: null, flat: null };
  const values = singularValues(rows);
  const squares = values.reduce((sum, value) => sum + value * value, 0);
  const flat = values.filter((value) => value < FLAT * values[0]!).length / values.length;
  return {
    ...{ size: rows.length, diagonal, singularValues: values },
    ...{ gain: finiteOrNull(Math.sqrt(squares / values.length)), flat: values[0] === 0 ? 1 : flat },
  };
}

/** Row i holds ∂y_i / ∂x at `x`, in training mode, over the whole batch. */
export function jacobian(layer: LayerGraph, shape: LayerShape, x: Float64Array): Float64Array[] {
  const graph = trainingGraph(layer);
  const program = new Program(graph, shape);
  return Array.from(x, (_, i) => {
    const dy = new Float64Array(x.length);
    dy[i] = 1;
    program.load({ x, dy });
    program.run();
    const row = new Float64Array(x.length);
    program.read(graph.outputs.dx, FULL, row);
    return row;
  });
}
