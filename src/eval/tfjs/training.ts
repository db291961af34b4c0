import { movingMoments } from '../../graph/adjoint.ts';
import { effectiveGroups, type LayerShape } from '../../graph/extent.ts';
import type { LayerGraph } from '../../graph/graph.ts';
import { moments } from '../../graph/ops.ts';
import type { TrainingSetup } from '../engine.ts';
import {
  DECAYED,
  type ImageShape,
  type LayerParameter,
  layerParameters,
  type Network,
  type NetworkOp,
  type Parameter,
  parameterLayout,
  tensorShapes,
} from '../network.ts';
import type { Images } from './images.ts';
import { type LayerStep, TfjsLayer } from './layer.ts';
import { axesOf } from './lower.ts';
import { backwardOp, forwardOp, type Owed, type Weights } from './operations.ts';
import type { Shape4, Tensor, Tf } from './tensors.ts';

type LayerOp = Extract<NetworkOp, { op: 'layer' }>;

/** A forward pass in training mode: all tensors, and the steps of the layers by operation. */
interface Pass {
  readonly tensors: Tensor[];
  readonly layers: ReadonlyMap<number, LayerStep>;
}

/** What lasts from step to step. Parameters and momentum are one vector each. */
interface State {
  readonly parameters: Tensor;
  readonly momentum: Tensor;
  /** Moving statistics by operation and slot. */
  readonly moving: ReadonlyMap<number, readonly Tensor[]>;
}

/** Inference takes any number of images; so many at once, or as many as train. */
const INFERENCE_BATCH = 128;

/**
 * One network with one layer, in the tensors of TensorFlow.js: no graph is recorded and nothing differentiated,
 * forward and backward are written out. All but the state is freed at the end of each call; what a call returns
 * belongs to the caller.
 */
export class TfjsTraining {
  readonly #tf: Tf;
  readonly #network: Network;
  readonly #setup: TrainingSetup;
  readonly #shapes: readonly ImageShape[];
  /** Of the images that are classified. */
  readonly #wholeShapes: readonly ImageShape[];
  readonly #layout: readonly Parameter[];
  readonly #layer: TfjsLayer;
  readonly #layerParameters: readonly LayerParameter[];
  readonly #graph: LayerGraph;
  /** Weight decay, parameter by parameter. */
  readonly #decay: Tensor;
  /** The last operation that reads each tensor. */
  readonly #lastReaders: readonly number[];
  #state: State | null = null;

  constructor(tf: Tf, network: Network, layer: LayerGraph, setup: TrainingSetup, whole = network) {
    this.#tf = tf;
    this.#network = network;
    this.#setup = setup;
    this.#shapes = tensorShapes(network);
    this.#wholeShapes = tensorShapes(whole);
    this.#layout = parameterLayout(network, layer);
    this.#layer = new TfjsLayer(tf, layer);
    this.#layerParameters = layerParameters(layer);
    this.#graph = layer;
    this.#decay = tf.keep(tf.tensor1d(this.#decayVector()));
    this.#lastReaders = lastReaders(network);
  }

  load(parameters: Float32Array): void {
    const tf = this.#tf;
    this.#replace({
      parameters: tf.keep(tf.tensor1d(parameters)),
      momentum: tf.keep(tf.zeros([parameters.length])),
      moving: new Map(this.#layerOps().map(([i, op]) => [i, this.#initialStatistics(op)])),
    });
  }

  get parameters(): Tensor {
    return this.#loaded().parameters;
  }

  /** Of the images that train, and of those that are classified. */
  get imageShapes(): { readonly train: ImageShape; readonly whole: ImageShape } {
    return { train: this.#shapes[0]!, whole: this.#wholeShapes[0]! };
  }

  /** One step of the optimiser. Returns the mean loss before it. */
  step(images: Images, labels: Uint8Array, learningRate: number): Tensor {
    const tf = this.#tf;
    return tf.tidy(() => {
      const weights = this.#weights();
      const { pass, loss, dLogits } = this.#forward(images, labels, weights);
      const moving = this.#movedStatistics(pass);
      const gradients = this.#backward(pass, dLogits, weights);
      this.#replace({ ...this.#updated(gradients, learningRate), moving });
      return loss;
    });
  }

  /** The mean loss, and its gradient by the vector of parameters. */
  gradients(images: Images, labels: Uint8Array): { loss: Tensor; gradients: Tensor } {
    return this.#tf.tidy(() => {
      const weights = this.#weights();
      const { pass, loss, dLogits } = this.#forward(images, labels, weights);
      return { loss, gradients: this.#backward(pass, dLogits, weights) };
    });
  }

  /** [images, classes], with moving statistics. */
  logits(images: Images, count: number): Tensor {
    const tf = this.#tf;
    const most = Math.max(INFERENCE_BATCH, this.#setup.batch);
    return tf.tidy(() => {
      const weights = this.#weights();
      const parts: Tensor[] = [];
      for (let start = 0; start < count; start += most) {
        const end = Math.min(count, start + most);
        parts.push(tf.tidy(() => this.#infer(images(start, end), end - start, weights)));
      }
      return parts.length > 1 ? tf.concat(parts, 0) : parts[0]!;
    });
  }

  close(): void {
    this.#free(this.#state);
    this.#state = null;
    this.#decay.dispose();
  }

  #forward(images: Images, labels: Uint8Array, weights: readonly Weights[]) {
    const pass = this.#propagate(images(0, labels.length), labels.length, weights);
    return { pass, ...this.#crossEntropy(pass.tensors.at(-1)!, labels) };
  }

  #propagate(images: Tensor, batch: number, weights: readonly Weights[]): Pass {
    const tensors = [images];
    const layers = new Map<number, LayerStep>();
    this.#network.ops.forEach((op, i) => {
      if (op.op === 'layer') {
        const shape = this.#layerShape(op, batch, this.#shapes);
        const step = this.#layer.forward(tensors[op.input]!, weights[i]!, shape);
        layers.set(i, step);
        tensors.push(step.y);
      } else
        tensors.push(
          this.#tf.tidy(() => forwardOp(this.#tf, op, tensors, this.#shapes, weights[i]!)),
        );
    });
    return { tensors, layers };
  }

  /** The gradient by the vector of parameters. Frees the tensors of the pass when nothing reads them any more. */
  #backward({ tensors, layers }: Pass, dLogits: Tensor, weights: readonly Weights[]): Tensor {
    const tf = this.#tf;
    const due: (Tensor | null)[] = tensors.map(() => null);
    due[due.length - 1] = dLogits;
    const own: Weights[] = [];
    for (let i = this.#network.ops.length - 1; i >= 0; i--) {
      const op = this.#network.ops[i]!;
      const dy = due[i + 1] ?? tf.zerosLike(tensors[i + 1]!);
      const owed: Owed =
        op.op === 'layer'
          ? this.#layerBackward(layers.get(i)!, dy)
          : tf.tidy(() => backwardOp(tf, op, tensors, this.#shapes, weights[i]!, dy) as never);
      own[i] = owed.own;
      const inputs = op.op === 'add' ? op.inputs : [op.input];
      inputs.forEach((input, k) => {
        due[input] = this.#sum(due[input]!, owed.inputs[k]!);
      });
      dy.dispose();
      tensors[i + 1]!.dispose();
    }
    return tf.concat(
      this.#layout.map(({ op, kind, size }) => tf.reshape(own[op]![kind]!, [size])),
      0,
    );
  }

  #layerBackward(step: LayerStep, dy: Tensor): Owed {
    const { dx, own } = step.backward(dy, this.#layerParameters);
    const named = this.#layerParameters.map((name, i) => [name, own[i]!] as const);
    return { inputs: [dx], own: Object.fromEntries(named) };
  }

  #sum(a: Tensor | null, b: Tensor | null): Tensor | null {
    if (!a || !b) return a ?? b;
    const sum = this.#tf.add(a, b);
    a.dispose();
    b.dispose();
    return sum;
  }

  #infer(images: Tensor, count: number, weights: readonly Weights[]): Tensor {
    const tf = this.#tf;
    const shapes = this.#wholeShapes;
    const { moving } = this.#loaded();
    const tensors = [images];
    this.#network.ops.forEach((op, i) => {
      tensors.push(
        tf.tidy(() =>
          op.op === 'layer'
            ? this.#layer.infer(
                ...([tensors[op.input]!, weights[i]!, moving.get(i)!] as const),
                this.#layerShape(op, count, shapes),
              )
            : forwardOp(tf, op, tensors, shapes, weights[i]!),
        ),
      );
      tensors.forEach((tensor, k) => {
        if (this.#lastReaders[k] === i) tensor.dispose();
      });
    });
    return tf.reshape(tensors.at(-1)!, [count, this.#network.classes]);
  }

  /** The mean cross-entropy, and its gradient by the logits. */
  #crossEntropy(logits: Tensor, labels: Uint8Array): { loss: Tensor; dLogits: Tensor } {
    const tf = this.#tf;
    const { classes } = this.#network;
    return tf.tidy(() => {
      const rows = tf.reshape(logits, [labels.length, classes]);
      const truth = tf.tensor2d(oneHot(labels, classes), [labels.length, classes]);
      const shifted = tf.sub(rows, tf.max(rows, 1, true));
      const exponentials = tf.exp(shifted);
      const total = tf.sum(exponentials, 1, true);
      const ofLabel = tf.sum(tf.mul(shifted, truth), 1, true);
      const loss = tf.mean(tf.sub(tf.log(total), ofLabel));
      const dRows = tf.div(tf.sub(tf.div(exponentials, total), truth), labels.length);
      return { loss, dLogits: tf.reshape(dRows, logits.shape as Shape4) };
    });
  }

  #updated(gradients: Tensor, learningRate: number): Omit<State, 'moving'> {
    const tf = this.#tf;
    const { parameters, momentum } = this.#loaded();
    return tf.tidy(() => {
      const g = tf.add(gradients, tf.mul(this.#decay, parameters));
      const m = tf.add(tf.mul(momentum, this.#setup.momentum), g);
      const step = tf.mul(tf.add(g, tf.mul(m, this.#setup.momentum)), learningRate);
      return { parameters: tf.keep(tf.sub(parameters, step)), momentum: tf.keep(m) };
    });
  }

  #movedStatistics({ layers }: Pass): State['moving'] {
    const tf = this.#tf;
    const { movingDecay } = this.#setup;
    const { moving } = this.#loaded();
    const moved = [...layers].map(([i, step]) => {
      const old = moving.get(i)!;
      const fresh = step
        .statistics()
        .map((batch, slot) =>
          tf.keep(
            tf.tidy(() => tf.add(tf.mul(old[slot]!, movingDecay), tf.mul(batch, 1 - movingDecay))),
          ),
        );
      return [i, fresh] as const;
    });
    return new Map(moved);
  }

  /** The parameters of every operation, out of the vector of all. */
  #weights(): readonly Weights[] {
    const tf = this.#tf;
    const { parameters } = this.#loaded();
    const weights: Record<string, Tensor>[] = this.#network.ops.map(() => ({}));
    for (const { op, kind, shape, offset, size } of this.#layout)
      weights[op]![kind] = tf.tidy(() =>
        tf.reshape(tf.slice(parameters, [offset], [size]), [...shape]),
      );
    return weights as readonly Weights[];
  }

  #decayVector(): Float32Array {
    const { size, offset } = this.#layout.at(-1)!;
    const vector = new Float32Array(offset + size);
    for (const parameter of this.#layout)
      if (DECAYED.has(parameter.kind))
        vector.fill(this.#setup.weightDecay, parameter.offset, parameter.offset + parameter.size);
    return vector;
  }

  #initialStatistics(op: LayerOp): Tensor[] {
    const shape = this.#layerShape(op, 1, this.#shapes);
    return movingMoments(this.#graph).map(({ op: moment, extent }) =>
      this.#tf.keep(this.#tf.fill(axesOf(extent, shape), moments[moment].initialStatistic)),
    );
  }

  #layerOps(): [number, LayerOp][] {
    return this.#network.ops.flatMap((op, i): [number, LayerOp][] =>
      op.op === 'layer' ? [[i, op]] : [],
    );
  }

  #layerShape({ input }: LayerOp, batch: number, shapes: readonly ImageShape[]): LayerShape {
    const shape = shapes[input]!;
    return { ...shape, batch, groups: effectiveGroups(shape.channels, this.#setup.groups) };
  }

  #loaded(): State {
    if (!this.#state) throw new Error('internal: a session without parameters is used');
    return this.#state;
  }

  #replace(state: State): void {
    this.#free(this.#state);
    this.#state = state;
  }

  #free(state: State | null): void {
    if (!state) return;
    state.parameters.dispose();
    state.momentum.dispose();
    for (const tensors of state.moving.values()) for (const tensor of tensors) tensor.dispose();
  }
}

function oneHot(labels: Uint8Array, classes: number): Float32Array {
  const rows = new Float32Array(labels.length * classes);
  labels.forEach((label, n) => {
    rows[n * classes + label] = 1;
  });
  return rows;
}

/** For every tensor the last operation that reads it; the last tensor is read from outside. */
function lastReaders({ ops }: Network): number[] {
  const last: number[] = [];
  ops.forEach((op, i) => {
    for (const input of op.op === 'add' ? op.inputs : [op.input]) last[input] = i;
  });
  return last;
}
