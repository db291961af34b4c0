import { inferenceLayer, movingMoments, type TrainingGraph, trainingGraph } from './adjoint.ts';
import { CHANNEL, type Extent, FULL, type LayerShape } from './extent.ts';
import type { Graph, LayerGraph } from './graph.ts';
import { moments } from './ops.ts';
import { momentsOf, Program, type ProgramInputs, projection } from './program.ts';

/**
 * What a layer reads, in fp64. `x` and `dy` are batch × height × width × channels in that order; the
 * others have one entry per channel and default to their starting values (v0 = β = 0, v1 = γ = 1).
 * `statistics` are moving statistics before `fromStatistic`, one array per slot, at the moment's
 * extent; they default to their starting values too.
 */
export type LayerInputs = ProgramInputs & { readonly x: Float64Array };

/** `y` and `dx` are full; the others have one entry per channel. */
export interface LayerResult {
  readonly y: Float64Array;
  readonly dx: Float64Array;
  readonly dv0: Float64Array;
  readonly dv1: Float64Array;
  readonly dgamma: Float64Array;
  readonly dbeta: Float64Array;
}

/** The value of every node of `graph`, each at its extent. */
export function evaluateGraph(
  graph: Graph,
  shape: LayerShape,
  inputs: ProgramInputs,
): Float64Array[] {
  const program = new Program(graph, shape);
  program.load(inputs);
  program.run();
  return graph.nodes.map((_, id) => program.value(id));
}

/** `value`, of extent `from`, repeated along the axes that only `to` has. */
export function expand(
  value: Float64Array,
  from: Extent,
  to: Extent,
  shape: LayerShape,
): Float64Array {
  const table = projection(to, from, shape);
  const out = new Float64Array(table.length);
  for (let i = 0; i < table.length; i++) out[i] = value[table[i]!]!;
  return out;
}

/** A training step's forward and backward pass. `statistics` are those of this batch, one array per slot. */
export function trainLayer(
  layer: LayerGraph,
  shape: LayerShape,
  inputs: LayerInputs,
): LayerResult & { readonly statistics: Float64Array[] } {
  const statistics = batchStatistics(layer, evaluateGraph(layer, shape, inputs), shape);
  return { ...runTraining(trainingGraph(layer), shape, inputs), statistics };
}

/** The statistics of one batch, one array per slot, given the value of every node of the layer. */
export const batchStatistics = (
  layer: LayerGraph,
  values: readonly Float64Array[],
  shape: LayerShape,
): Float64Array[] =>
  movingMoments(layer).map(({ op, args: [a], extent }) => {
    const { mean, variance } = momentsOf(values[a]!, layer.nodes[a]!.extent, extent, shape);
    return mean.map((m, i) => moments[op].statistic(m, variance[i]!));
  });

/** Inference and its gradients; moments over the batch are constants out of `inputs.statistics`. */
export const inferLayer = (
  layer: LayerGraph,
  shape: LayerShape,
  inputs: LayerInputs,
): LayerResult => runTraining(trainingGraph(inferenceLayer(layer)), shape, inputs);

function runTraining(graph: TrainingGraph, shape: LayerShape, inputs: LayerInputs): LayerResult {
  const values = evaluateGraph(graph, shape, inputs);
  const output = (name: keyof LayerResult, extent: Extent) => {
    const id = graph.outputs[name];
    return expand(values[id]!, graph.nodes[id]!.extent, extent, shape);
  };
  return {
    y: output('y', FULL),
    dx: output('dx', FULL),
    dv0: output('dv0', CHANNEL),
    dv1: output('dv1', CHANNEL),
    dgamma: output('dgamma', CHANNEL),
    dbeta: output('dbeta', CHANNEL),
  };
}
