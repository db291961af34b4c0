import type { LayerGraph } from '../../graph/graph.ts';
import type { Engine, Session, TrainingSetup } from '../engine.ts';
import type { ImageShape, Network } from '../network.ts';
import { compile, type Fill, type Plan, type WorkingSet } from './compile.ts';
import { chooseVariant, type Handle, lanesOf, Machine, type Variant } from './machine.ts';
import { segments } from './segments.ts';

/**
 * Raised whenever the compiler or the kernels come to other bits, so that scores from before and after are not taken
 * for the same, and no run goes on half and half. Databases from before there was one name none.
 */
const REVISION = 2;

/** The arithmetic of a kernel variant: `Engine.numerics`. */
export const nativeNumerics = (variant: Variant): string => `native/${variant}/${REVISION}`;

/**
 * The engine of compiled layers and hand-written kernels; one thread per session. `variant` names a kernel
 * variant; the best that this CPU runs otherwise, or what EVOLAYER_NATIVE_VARIANT names. `workingSet` says from
 * which size on batches are run in blocks.
 * Throws a UserError where the addon cannot be loaded or the CPU lacks the variant.
 */
export function nativeEngine(variant?: Variant, workingSet?: WorkingSet): Engine {
  const chosen = chooseVariant(variant);
  const open = (network: Network, layer: LayerGraph, setup: TrainingSetup) =>
    new NativeSession(
      network,
      setup,
      compile(network, layer, setup, lanesOf(chosen), workingSet),
      chosen,
    );
  return {
    numerics: nativeNumerics(chosen),
    open: (network, layer, setup, whole = network) => {
      const training = open(network, layer, setup);
      if (sameSize(whole.image, network.image)) return training;
      const batch = Math.min(setup.batch, INFERENCE_BATCH);
      return new SessionOfTwoSizes(training, open(whole, layer, { ...setup, batch }));
    },
  };
}

/** Inference takes any number of images; so many at once are enough to be fast, and larger ones than those that train need no memory for more. */
const INFERENCE_BATCH = 32;

const sameSize = (a: ImageShape, b: ImageShape): boolean =>
  a.height === b.height && a.width === b.width;

class NativeSession implements Session {
  readonly #plan: Plan;
  readonly #machine: Machine;
  readonly #floats: Float32Array;
  readonly #labels: Int32Array;
  readonly #result: Float64Array;
  /** Each in pieces, and those in shares, between which the thread can be stopped. */
  readonly #programs: Readonly<
    Record<keyof Plan['programs'], readonly { handle: Handle; shares: number }[]>
  >;
  readonly #batch: number;
  readonly #imageFloats: number;

  constructor(network: Network, setup: TrainingSetup, plan: Plan, variant: Variant) {
    const machine = new Machine(variant, plan.floats, plan.block);
    this.#plan = plan;
    this.#machine = machine;
    this.#batch = setup.batch;
    this.#imageFloats = network.image.height * network.image.width * network.image.channels;
    this.#floats = new Float32Array(machine.arena);
    this.#labels = new Int32Array(machine.arena, plan.labels * 4, plan.block);
    this.#result = new Float64Array(machine.arena, plan.result * 4, 2);
    const prepare = (program: Int32Array) =>
      segments(program, plan.block).map(({ program, shares }) => ({
        handle: machine.prepare(program),
        shares,
      }));
    this.#programs = {
      gradient: prepare(plan.programs.gradient),
      update: prepare(plan.programs.update),
      inference: prepare(plan.programs.inference),
    };
    this.#fill(plan.constants);
    this.#floats.set([0, setup.momentum, setup.weightDecay], plan.hyper);
  }

  load(parameters: Float32Array): void {
    const { parameterCount, momenta } = this.#plan;
    if (parameters.length !== parameterCount)
      throw new Error(
        `internal: ${parameters.length} parameters where ${parameterCount} are wanted`,
      );
    this.#floats.set(parameters, this.#plan.parameters);
    this.#floats.fill(0, momenta, momenta + parameterCount);
    this.#fill(this.#plan.moving);
  }

  parameters(): Float32Array {
    return this.#block(this.#plan.parameters);
  }

  trainStep(images: Float32Array, labels: Uint8Array, learningRate: number): number {
    this.#floats[this.#plan.hyper] = learningRate;
    const loss = this.#forwardAndBackward(images, labels);
    this.#execute('update', this.#plan.block);
    return loss;
  }

  gradients(images: Float32Array, labels: Uint8Array) {
    const loss = this.#forwardAndBackward(images, labels);
    return { loss, gradients: this.#block(this.#plan.gradients) };
  }

  evaluate(images: Float32Array, labels: Uint8Array) {
    let [loss, correct] = [0, 0];
    this.#forBlocks(images, labels, (count) => {
      this.#execute('inference', count);
      loss += this.#result[0]!;
      correct += this.#result[1]!;
    });
    return { loss: loss / labels.length, correct };
  }

  close(): void {
    this.#machine.close();
  }

  /** Takes over what another session of the same network, for images of whatever size, has learnt. */
  adopt(other: NativeSession): void {
    this.#floats.set(other.parameters(), this.#plan.parameters);
    this.#plan.moving.forEach(({ offset, floats }, i) => {
      const from = other.#plan.moving[i]!.offset;
      this.#floats.set(other.#floats.subarray(from, from + floats), offset);
    });
  }

  /** Returns the mean loss. */
  #forwardAndBackward(images: Float32Array, labels: Uint8Array): number {
    if (labels.length !== this.#batch)
      throw new Error(`internal: ${labels.length} images where a batch has ${this.#batch}`);
    this.#forBlocks(images, labels, (count, before) =>
      this.#execute('gradient', count, before, labels.length),
    );
    return this.#result[0]! / labels.length;
  }

  /** Loads images block by block, and calls `run` with how many a block has, and how many came before it. */
  #forBlocks(
    images: Float32Array,
    labels: Uint8Array,
    run: (count: number, before: number) => void,
  ): void {
    if (images.length !== labels.length * this.#imageFloats)
      throw new Error(`internal: ${images.length} floats for ${labels.length} images`);
    const { block } = this.#plan;
    for (let start = 0; start < labels.length; start += block) {
      const end = Math.min(start + block, labels.length);
      const some = images.subarray(start * this.#imageFloats, end * this.#imageFloats);
      this.#floats.set(some, this.#plan.images);
      this.#labels.set(labels.subarray(start, end));
      run(end - start, start);
    }
  }

  /** Runs a program on some images of a batch, of which `before` have been run. */
  #execute(program: keyof Plan['programs'], images: number, before = 0, total = images): void {
    for (const { handle, shares } of this.#programs[program])
      for (let share = 0; share < shares; share++)
        this.#machine.run(handle, images, share, shares, before, total);
  }

  #block(offset: number): Float32Array {
    return this.#floats.slice(offset, offset + this.#plan.parameterCount);
  }

  #fill(fills: readonly Fill[]): void {
    for (const { offset, floats, value } of fills)
      this.#floats.fill(value, offset, offset + floats);
  }
}

/** Trains on images of one size, and evaluates on those of another. */
class SessionOfTwoSizes implements Session {
  readonly #training: NativeSession;
  readonly #inference: NativeSession;

  constructor(training: NativeSession, inference: NativeSession) {
    this.#training = training;
    this.#inference = inference;
  }

  load(parameters: Float32Array): void {
    this.#training.load(parameters);
  }

  parameters(): Float32Array {
    return this.#training.parameters();
  }

  trainStep(images: Float32Array, labels: Uint8Array, learningRate: number): number {
    return this.#training.trainStep(images, labels, learningRate);
  }

  gradients(images: Float32Array, labels: Uint8Array) {
    return this.#training.gradients(images, labels);
  }

  evaluate(images: Float32Array, labels: Uint8Array) {
    this.#inference.adopt(this.#training);
    return this.#inference.evaluate(images, labels);
  }

  close(): void {
    this.#training.close();
    this.#inference.close();
  }
}
