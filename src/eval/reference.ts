import { forwardGraph, inferenceLayer, movingMoments } from '../graph/adjoint.ts';
import { effectiveGroups, FULL, type LayerShape, sizeOf } from '../graph/extent.ts';
import type { Graph, LayerGraph } from '../graph/graph.ts';
import { evaluateGraph, expand, type LayerInputs, trainLayer } from '../graph/interpreter.ts';
import { moments } from '../graph/ops.ts';
import type { Engine, Session, TrainingSetup } from './engine.ts';
import {
  DECAYED,
  type ImageShape,
  type Network,
  type NetworkOp,
  type Parameter,
  parameterLayout,
  tensorShapes,
} from './network.ts';
import { backwardOp, forwardOp, type Slices, softmaxLoss } from './reference-ops.ts';

/** Whole networks in fp64, slow and obvious: what fast engines are compared with. */
export const referenceEngine = (): Engine => ({
  numerics: 'reference/fp64',
  open: (network, layer, setup, whole) => new ReferenceSession(network, layer, setup, whole),
});

/**
 * All tensors of a network on a batch of images, in training mode with the moments of this batch, and their
 * gradients from that of the last tensor. Index 0 is the images.
 */
export function propagate(
  network: Network,
  layer: LayerGraph,
  setup: TrainingSetup,
  parameters: Float32Array,
  images: Float32Array,
  last: Float64Array,
): { readonly tensors: readonly Float64Array[]; readonly gradients: readonly Float64Array[] } {
  const session = new ReferenceSession(network, layer, setup);
  session.load(parameters);
  return session.propagate(images, last);
}

type LayerOp = Extract<NetworkOp, { op: 'layer' }>;

/** The gradients of all tensors and parameters, and the batch statistics of each layer operation, by operation. */
interface Backward {
  readonly due: readonly Float64Array[];
  readonly gradients: Float64Array;
  readonly statistics: ReadonlyMap<number, readonly Float64Array[]>;
}

class ReferenceSession implements Session {
  readonly #network: Network;
  readonly #layer: LayerGraph;
  readonly #setup: TrainingSetup;
  readonly #shapes: readonly ImageShape[];
  /** Of the images that `evaluate` takes. */
  readonly #wholeShapes: readonly ImageShape[];
  readonly #layout: readonly Parameter[];
  readonly #parameters: Float64Array;
  readonly #momentum: Float64Array;
  readonly #moving = new Map<number, Float64Array[]>();

  constructor(network: Network, layer: LayerGraph, setup: TrainingSetup, whole = network) {
    this.#network = network;
    this.#layer = layer;
    this.#setup = setup;
    this.#shapes = tensorShapes(network);
    this.#wholeShapes = tensorShapes(whole);
    this.#layout = parameterLayout(network, layer);
    const count = this.#layout.reduce((sum, { size }) => sum + size, 0);
    this.#parameters = new Float64Array(count);
    this.#momentum = new Float64Array(count);
  }

  load(parameters: Float32Array) {
    this.#parameters.set(parameters);
    this.#momentum.fill(0);
    this.#network.ops.forEach((op, i) => {
      if (op.op === 'layer')
        this.#moving.set(i, this.#initialStatistics(this.#layerShape(op, 1, this.#shapes)));
    });
  }

  parameters(): Float32Array {
    return Float32Array.from(this.#parameters);
  }

  trainStep(images: Float32Array, labels: Uint8Array, learningRate: number): number {
    const { loss, gradients, statistics } = this.#forwardBackward(images, labels);
    this.#update(gradients, learningRate);
    this.#updateStatistics(statistics);
    return loss;
  }

  gradients(images: Float32Array, labels: Uint8Array) {
    const { loss, gradients } = this.#forwardBackward(images, labels);
    return { loss, gradients: Float32Array.from(gradients) };
  }

  evaluate(images: Float32Array, labels: Uint8Array) {
    const inference = forwardGraph(inferenceLayer(this.#layer));
    const tensors = this.#forward(images, labels.length, inference, this.#wholeShapes);
    const { loss, correct } = softmaxLoss(tensors.at(-1)!, labels);
    return { loss, correct };
  }

  propagate(images: Float32Array, last: Float64Array) {
    const { batch } = this.#setup;
    const tensors = this.#forward(images, batch, forwardGraph(this.#layer));
    return { tensors, gradients: this.#backward(tensors, batch, last).due };
  }

  close() {
    this.#moving.clear();
  }

  #forwardBackward(images: Float32Array, labels: Uint8Array): Backward & { loss: number } {
    const tensors = this.#forward(images, labels.length, forwardGraph(this.#layer));
    const { loss, gradient } = softmaxLoss(tensors.at(-1)!, labels);
    return { loss, ...this.#backward(tensors, labels.length, gradient) };
  }

  /** All tensors of the network, where `layer` is what the layer operations compute. */
  #forward(
    images: Float32Array,
    batch: number,
    layer: Graph<'y'>,
    shapes = this.#shapes,
  ): Float64Array[] {
    const tensors: Float64Array[] = [Float64Array.from(images)];
    this.#network.ops.forEach((op, i) => {
      tensors.push(
        op.op === 'layer'
          ? this.#layerForward(i, tensors[op.input]!, this.#layerShape(op, batch, shapes), layer)
          : forwardOp(op, tensors, shapes, batch, this.#weights(i)),
      );
    });
    return tensors;
  }

  #layerForward(index: number, x: Float64Array, shape: LayerShape, graph: Graph<'y'>) {
    const values = evaluateGraph(graph, shape, this.#layerInputs(index, x));
    const { y } = graph.outputs;
    return expand(values[y]!, graph.nodes[y]!.extent, FULL, shape);
  }

  /** Reverse mode through the network, from the gradient of the logits. */
  #backward(tensors: readonly Float64Array[], batch: number, last: Float64Array): Backward {
    const due: Float64Array[] = tensors.map((tensor) => new Float64Array(tensor.length));
    due[due.length - 1] = last;
    const gradients = new Float64Array(this.#parameters.length);
    const statistics = new Map<number, readonly Float64Array[]>();
    for (let i = this.#network.ops.length - 1; i >= 0; i--) {
      const op = this.#network.ops[i]!;
      const [dy, own] = [due[i + 1]!, this.#slices(i, gradients)];
      if (op.op === 'layer') {
        const inputs = { ...this.#layerInputs(i, tensors[op.input]!), dy };
        statistics.set(i, this.#layerBackward(op, batch, inputs, due[op.input]!, own));
      } else backwardOp(op, tensors, this.#shapes, batch, this.#weights(i), dy, due, own);
    }
    return { due, gradients, statistics };
  }

  /** Adds to `dx`, sets the gradients in `own`, and returns the batch statistics. */
  #layerBackward(op: LayerOp, batch: number, inputs: LayerInputs, dx: Float64Array, own: Slices) {
    const result = trainLayer(this.#layer, this.#layerShape(op, batch, this.#shapes), inputs);
    result.dx.forEach((value, k) => {
      dx[k]! += value;
    });
    own.v0?.set(result.dv0);
    own.v1?.set(result.dv1);
    own.gamma!.set(result.dgamma);
    own.beta!.set(result.dbeta);
    return result.statistics;
  }

  #update(gradients: Float64Array, learningRate: number) {
    const { momentum, weightDecay } = this.#setup;
    const w = this.#parameters;
    const m = this.#momentum;
    for (const { kind, offset, size } of this.#layout) {
      const decay = DECAYED.has(kind) ? weightDecay : 0;
      for (let i = offset; i < offset + size; i++) {
        const g = gradients[i]! + decay * w[i]!;
        m[i] = momentum * m[i]! + g;
        w[i]! -= learningRate * (g + momentum * m[i]!);
      }
    }
  }

  #updateStatistics(statistics: Backward['statistics']) {
    const { movingDecay } = this.#setup;
    for (const [op, slots] of statistics)
      slots.forEach((batch, slot) => {
        const moving = this.#moving.get(op)![slot]!;
        batch.forEach((value, i) => {
          moving[i] = movingDecay * moving[i]! + (1 - movingDecay) * value;
        });
      });
  }

  #initialStatistics(shape: LayerShape): Float64Array[] {
    return movingMoments(this.#layer).map((node) =>
      new Float64Array(sizeOf(node.extent, shape)).fill(moments[node.op].initialStatistic),
    );
  }

  #layerShape(op: LayerOp, batch: number, shapes: readonly ImageShape[]): LayerShape {
    const shape = shapes[op.input]!;
    return { ...shape, batch, groups: effectiveGroups(shape.channels, this.#setup.groups) };
  }

  #layerInputs(op: number, x: Float64Array): LayerInputs {
    return { x, ...this.#weights(op), statistics: this.#moving.get(op)! };
  }

  #weights(op: number): Slices {
    return this.#slices(op, this.#parameters);
  }

  /** The parameters of an operation, as views into `vector`. */
  #slices(op: number, vector: Float64Array): Slices {
    const slices: Slices = {};
    for (const parameter of this.#layout)
      if (parameter.op === op)
        slices[parameter.kind] = vector.subarray(
          parameter.offset,
          parameter.offset + parameter.size,
        );
    return slices;
  }
}
