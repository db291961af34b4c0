import {
  forwardGraph,
  inferenceLayer,
  movingMoments,
  type TrainingGraph,
  trainingGraph,
} from '../../graph/adjoint.ts';
import { CHANNEL, type Extent, FULL, type LayerShape } from '../../graph/extent.ts';
import type { Graph, LayerGraph } from '../../graph/graph.ts';
import { EPSILON, isMoment, needsMovingStatistics } from '../../graph/ops.ts';
import type { LayerParameter } from '../network.ts';
import { GraphRun, type Lifetimes, lifetimes } from './graph-run.ts';
import { type Scope, spread } from './lower.ts';
import type { Tensor, Tf } from './tensors.ts';

/** By parameter: one value per channel. */
export type LayerWeights = Readonly<Partial<Record<LayerParameter, Tensor>>>;

const GRADIENT = { v0: 'dv0', v1: 'dv1', gamma: 'dgamma', beta: 'dbeta' } as const;

/** A layer, compiled for training and for inference; shapes come with each run. */
export class TfjsLayer {
  readonly #tf: Tf;
  readonly #training: TrainingGraph;
  readonly #trainingLifetimes: Lifetimes;
  /** The nodes of the training graph with moving statistics, by slot. */
  readonly #moving: readonly number[];
  readonly #inference: Graph<'y'>;
  readonly #inferenceLifetimes: Lifetimes;

  constructor(tf: Tf, layer: LayerGraph) {
    this.#tf = tf;
    this.#training = trainingGraph(layer);
    this.#moving = movingNodes(this.#training);
    if (this.#moving.length !== movingMoments(layer).length)
      throw new Error('internal: the training graph has other moving moments than the layer');
    const { outputs } = this.#training;
    const kept = new Set([...Object.values(outputs), ...this.#moving]);
    this.#trainingLifetimes = lifetimes(this.#training, kept);
    this.#inference = forwardGraph(inferenceLayer(layer));
    this.#inferenceLifetimes = lifetimes(this.#inference, new Set([this.#inference.outputs.y]));
  }

  /** The forward half of a training step; `backward` is the other. */
  forward(x: Tensor, weights: LayerWeights, shape: LayerShape): LayerStep {
    return new LayerStep(
      new GraphRun(this.#training, this.#trainingLifetimes),
      this.#training,
      this.#moving,
      { tf: this.#tf, shape, inputs: { x, ...this.#rows(weights) }, statistics: [] },
    );
  }

  infer(
    x: Tensor,
    weights: LayerWeights,
    statistics: readonly Tensor[],
    shape: LayerShape,
  ): Tensor {
    const tf = this.#tf;
    const run = new GraphRun(this.#inference, this.#inferenceLifetimes);
    const scope = { tf, shape, statistics, inputs: { x, ...this.#rows(weights) } };
    run.to(this.#inference.nodes.length, scope);
    return outputOf(run, this.#inference, 'y', FULL, scope);
  }

  #rows(weights: LayerWeights): Partial<Record<LayerParameter, Tensor>> {
    return Object.fromEntries(
      Object.entries(weights).map(([name, weight]) => [
        name,
        this.#tf.reshape(weight, [1, 1, 1, weight.size]),
      ]),
    );
  }
}

/** One layer in one training step. */
export class LayerStep {
  readonly #run: GraphRun;
  readonly #graph: TrainingGraph;
  readonly #moving: readonly number[];
  readonly #scope: Scope;
  readonly y: Tensor;

  constructor(run: GraphRun, graph: TrainingGraph, moving: readonly number[], scope: Scope) {
    this.#run = run;
    this.#graph = graph;
    this.#moving = moving;
    this.#scope = scope;
    const { y } = graph.outputs;
    run.to(y + 1, scope);
    this.y = outputOf(run, graph, 'y', FULL, scope);
  }

  /** What moving statistics take in from this batch, by slot: mean, mean square or variance. */
  statistics(): Tensor[] {
    const { tf } = this.#scope;
    // ε decides how exact a moment has to be that its statistic is made of, so that taking it away again costs nothing.
    return this.#moving.map((id) => {
      const value = this.#run.value(id);
      return this.#graph.nodes[id]!.op === 'mean'
        ? tf.clone(value)
        : tf.tidy(() => tf.sub(tf.square(value), EPSILON));
    });
  }

  /** The gradients of x and of the named parameters, one value per channel of the latter. */
  backward(dy: Tensor, parameters: readonly LayerParameter[]) {
    const scope = { ...this.#scope, inputs: { ...this.#scope.inputs, dy } };
    const { tf, shape } = scope;
    this.#run.to(this.#graph.nodes.length, scope);
    const output = (name: keyof TrainingGraph['outputs'], extent: Extent) =>
      outputOf(this.#run, this.#graph, name, extent, scope);
    return {
      dx: output('dx', FULL),
      own: parameters.map((name) => tf.reshape(output(GRADIENT[name], CHANNEL), [shape.channels])),
    };
  }
}

/** An output, repeated along the axes of `extent` that it lacks. */
const outputOf = <Name extends string>(
  run: GraphRun,
  { nodes, outputs }: Graph<Name>,
  name: Name,
  extent: Extent,
  scope: Scope,
): Tensor => {
  const id = outputs[name];
  return spread({ tensor: run.value(id), extent: nodes[id]!.extent }, extent, scope);
};

/** The moments of the forward half over the batch, in the order in which the layer has them. */
function movingNodes({ nodes, outputs }: TrainingGraph): number[] {
  const forward = nodes.slice(0, outputs.y + 1);
  return forward.flatMap((node, id) =>
    isMoment(node.op) &&
    'index' in node &&
    needsMovingStatistics(node.index, nodes[node.args[0]]!.extent)
      ? [id]
      : [],
  );
}
