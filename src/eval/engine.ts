import type { LayerGraph } from '../graph/graph.ts';
import type { BatchSource, BatchStream } from './batches.ts';
import type { Network } from './network.ts';

/** What of a protocol changes the arithmetic of a training step. */
export interface TrainingSetup {
  /** Images in a training batch; inference takes any number. */
  readonly batch: number;
  /** Wanted groups of `whc/g`; a layer uses the largest divisor of its channels that is ≤ this. */
  readonly groups: number;
  /** Moving statistics: s ← decay·s + (1 − decay)·batch statistic. */
  readonly movingDecay: number;
  /** Nesterov momentum: m ← momentum·m + g, w ← w − lr·(g + momentum·m). */
  readonly momentum: number;
  /** Added to the gradient, times the weight, of convolution and dense weights alone. */
  readonly weightDecay: number;
}

/** Runs networks. Everything random (weights, batches) comes from the caller, so that engines start identical. */
export interface Engine {
  /** Names the arithmetic down to the last bits, as in `native/avx512/2`; part of the protocol key. */
  readonly numerics: string;
  /** `whole`, where it is given, is the same network for images of another size, which `evaluate` then takes. */
  open(network: Network, layer: LayerGraph, setup: TrainingSetup, whole?: Network): Session;
}

/** One network with one candidate layer. Images are NHWC; labels are class indices. */
export interface Session {
  /** Replaces all parameters (in the order of `parameterLayout`) and resets momentum and moving statistics. */
  load(parameters: Float32Array): void;
  parameters(): Float32Array;
  /** One optimiser step on exactly `setup.batch` images. Returns the mean cross-entropy before the step (NaN or Infinity where it diverged). */
  trainStep(images: Float32Array, labels: Uint8Array, learningRate: number): number;
  /** The mean loss and its gradient in training mode, without weight decay, parameters unchanged. */
  gradients(images: Float32Array, labels: Uint8Array): { loss: number; gradients: Float32Array };
  /** Inference mode, with moving statistics; any number of images. `loss` is the mean cross-entropy. */
  evaluate(images: Float32Array, labels: Uint8Array): { loss: number; correct: number };
  /**
   * In engines far from the data: as many steps of `trainStep`, on the next batches, as there are learning rates.
   * Returns the loss of each; those after one that is not finite mean nothing.
   */
  trainSteps?(batches: BatchStream, learningRates: readonly number[]): Iterable<number>;
  /** With `trainSteps`: `evaluate` on the first images of a source. */
  evaluateFirst?(count: number, source: BatchSource): { loss: number; correct: number };
  /** Frees the memory; the session is of no use afterwards. */
  close(): void;
}
