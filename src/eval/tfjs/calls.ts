import type { MessagePort } from 'node:worker_threads';
import type { LayerGraph } from '../../graph/graph.ts';
import type { Augmentation, BatchSource } from '../batches.ts';
import type { TrainingSetup } from '../engine.ts';
import type { Network } from '../network.ts';
import type { Draws } from '../views.ts';
import type { Backend, Obstacle } from './backends.ts';

/** What the thread that computes is given when it starts. */
export interface ThreadData {
  readonly backend: Backend;
  readonly port: MessagePort;
  /** One number: see `wake`. */
  readonly signal: SharedArrayBuffer;
  /** Whether images are kept on the device; unless told, where that is a GPU. */
  readonly onDevice: boolean | undefined;
}

/** What the thread that starts it is given besides. */
export interface KeeperData extends ThreadData {
  /** Gets one message, a sentence, when the thread that computes has ended. */
  readonly keeper: MessagePort;
  /** Of the JavaScript heap in the thread that computes, at most; Node decides unless told. */
  readonly heapMegabytes: number | undefined;
}

/** Wakes who waits for `signal`; a message must lie in a port before. */
export function wake(signal: SharedArrayBuffer): void {
  const flag = new Int32Array(signal);
  Atomics.store(flag, 0, 1);
  Atomics.notify(flag, 0);
}

/** The calls that the thread answers, in order. The caller numbers sessions, and images that are held. */
export interface Calls {
  open(
    session: number,
    network: Network,
    layer: LayerGraph,
    setup: TrainingSetup,
    whole: Network | undefined,
  ): void;
  load(session: number, parameters: Float32Array): void;
  parameters(session: number): Float32Array;
  train(session: number, images: Float32Array, labels: Uint8Array, learningRate: number): number;
  /** Keeps images for `trainSteps` and `logitsOfFirst`. */
  hold(held: number, source: BatchSource): void;
  release(held: number): void;
  /** The losses of a step for each of `draws`. */
  trainSteps(
    session: number,
    held: number,
    augmentation: Augmentation,
    steps: readonly { readonly draws: Draws; readonly learningRate: number }[],
  ): Float32Array;
  gradients(
    session: number,
    images: Float32Array,
    labels: Uint8Array,
  ): { loss: number; gradients: Float32Array };
  logits(session: number, images: Float32Array, count: number): Float32Array;
  logitsOfFirst(session: number, count: number, held: number): Float32Array;
  close(session: number): void;
  /** Tensors and bytes that live in the thread. */
  memory(): { tensors: number; bytes: number };
}

export type Call = { [Name in keyof Calls]: [Name, ...Parameters<Calls[Name]>] }[keyof Calls];

/** The first answer says whether the backend could be loaded; every later one answers a call. */
export type Greeting =
  | { readonly numerics: string }
  | { readonly obstacle: Obstacle }
  /** A mistake of ours. */
  | { readonly failure: string };
export type Answer = { readonly value: unknown } | { readonly error: string };
