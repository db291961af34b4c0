import type { LayerGraph } from '../../graph/graph.ts';
import type { BatchSource, BatchStream } from '../batches.ts';
import type { Engine, Session, TrainingSetup } from '../engine.ts';
import type { Network } from '../network.ts';
import { softmaxLoss } from '../reference-ops.ts';
import type { Backend } from './backends.ts';
import { Holdings } from './holdings.ts';
import { TfjsThread, type ThreadOptions } from './remote.ts';

/** An engine in a thread of its own. */
export interface TfjsEngine extends Engine {
  /** What lives in its memory: once all sessions are closed, the images that it keeps on a device. */
  memory(): { readonly tensors: number; readonly bytes: number };
  close(): void;
}

/** The engine on TensorFlow.js. Throws a BackendObstacle where the backend cannot be used. */
export function tfjsEngine(backend: Backend, options: ThreadOptions = {}): TfjsEngine {
  const started = () => {
    const thread = new TfjsThread(backend, options);
    return { thread, holdings: new Holdings(thread) };
  };
  let current = started();
  let sessions = 0;
  return {
    numerics: current.thread.numerics,
    open(network, layer, setup, whole) {
      // What ended one thread is the fault of what it computed; the next session may do better.
      if (current.thread.hasEnded) current = started();
      return new TfjsSession(current, sessions++, { network, layer, setup, whole });
    },
    memory: () => current.thread.call('memory'),
    close: () => current.thread.close(),
  };
}

interface Remote {
  readonly thread: TfjsThread;
  readonly holdings: Holdings;
}

interface Subject {
  readonly network: Network;
  readonly layer: LayerGraph;
  readonly setup: TrainingSetup;
  readonly whole: Network | undefined;
}

class TfjsSession implements Session {
  readonly #thread: TfjsThread;
  readonly #holdings: Holdings;
  readonly #id: number;
  readonly #batch: number;
  #isOpen = true;

  constructor(remote: Remote, id: number, { network, layer, setup, whole }: Subject) {
    const { thread, holdings } = remote;
    this.#thread = thread;
    this.#holdings = holdings;
    this.#id = id;
    this.#batch = setup.batch;
    thread.call('open', id, network, layer, setup, whole);
  }

  load(parameters: Float32Array): void {
    this.#thread.call('load', this.#id, parameters);
  }

  parameters(): Float32Array {
    return this.#thread.call('parameters', this.#id);
  }

  trainStep(images: Float32Array, labels: Uint8Array, learningRate: number): number {
    this.#checkBatch(labels.length);
    return this.#thread.call('train', this.#id, images, labels, learningRate);
  }

  trainSteps(batches: BatchStream, learningRates: readonly number[]): Float32Array {
    this.#checkBatch(batches.size);
    const held = this.#holdings.numberOf(batches.source);
    const steps = learningRates.map((learningRate) => ({ draws: batches.draw(), learningRate }));
    return this.#thread.call('trainSteps', this.#id, held, batches.augmentation, steps);
  }

  gradients(images: Float32Array, labels: Uint8Array) {
    this.#checkBatch(labels.length);
    return this.#thread.call('gradients', this.#id, images, labels);
  }

  evaluate(images: Float32Array, labels: Uint8Array): { loss: number; correct: number } {
    return scoreOf(this.#thread.call('logits', this.#id, images, labels.length), labels);
  }

  evaluateFirst(count: number, source: BatchSource): { loss: number; correct: number } {
    const held = this.#holdings.numberOf(source);
    const logits = this.#thread.call('logitsOfFirst', this.#id, count, held);
    return scoreOf(logits, source.split.labels.subarray(0, count));
  }

  close(): void {
    if (this.#isOpen && !this.#thread.hasEnded) this.#thread.call('close', this.#id);
    this.#isOpen = false;
  }

  #checkBatch(length: number): void {
    if (length !== this.#batch)
      throw new Error(`internal: ${length} images where a batch has ${this.#batch}`);
  }
}

function scoreOf(logits: Float32Array, labels: Uint8Array): { loss: number; correct: number } {
  const { loss, correct } = softmaxLoss(Float64Array.from(logits), labels);
  return { loss, correct };
}
