import type { LayerGraph } from '../../graph/graph.ts';
import type { Engine, Session, TrainingSetup } from '../engine.ts';
import type { Network } from '../network.ts';
import { compile, type Fill, type Plan } from './compile.ts';
import { chooseVariant, type Handle, lanesOf, Machine, type Variant } from './machine.ts';
import { segments } from './segments.ts';

/**
 * The engine of compiled layers and hand-written kernels; one thread per session. `variant` names a kernel
 * variant; the best that this CPU runs otherwise, or what EVOLAYER_NATIVE_VARIANT names.
 * Throws a UserError where the addon cannot be loaded or the CPU lacks the variant.
 */
export function nativeEngine(variant?: Variant): Engine {
  const chosen = chooseVariant(variant);
  return {
    numerics: `native/${chosen}`,
    open: (network, layer, setup) => new NativeSession(network, layer, setup, chosen),
  };
}

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

  constructor(network: Network, layer: LayerGraph, setup: TrainingSetup, variant: Variant) {
    const plan = compile(network, layer, setup, lanesOf(variant));
    const machine = new Machine(variant, plan.floats, setup.batch);
    this.#plan = plan;
    this.#machine = machine;
    this.#batch = setup.batch;
    this.#imageFloats = network.image.height * network.image.width * network.image.channels;
    this.#floats = new Float32Array(machine.arena);
    this.#labels = new Int32Array(machine.arena, plan.labels * 4, setup.batch);
    this.#result = new Float64Array(machine.arena, plan.result * 4, 2);
    const prepare = (program: Int32Array) =>
      segments(program, setup.batch).map(({ program, shares }) => ({
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
    const { loss } = this.#run('gradient', images, labels);
    this.#execute('update', labels.length);
    return loss / labels.length;
  }

  gradients(images: Float32Array, labels: Uint8Array) {
    const { loss } = this.#run('gradient', images, labels);
    return { loss: loss / labels.length, gradients: this.#block(this.#plan.gradients) };
  }

  evaluate(images: Float32Array, labels: Uint8Array) {
    let [loss, correct] = [0, 0];
    for (let start = 0; start < labels.length; start += this.#batch) {
      const end = Math.min(start + this.#batch, labels.length);
      const part = this.#run(
        'inference',
        images.subarray(start * this.#imageFloats, end * this.#imageFloats),
        labels.subarray(start, end),
      );
      loss += part.loss;
      correct += part.correct;
    }
    return { loss: loss / labels.length, correct };
  }

  close(): void {
    this.#machine.close();
  }

  /** Runs a program on a batch; returns the summed loss and the number of correct images. */
  #run(program: 'gradient' | 'inference', images: Float32Array, labels: Uint8Array) {
    const training = program === 'gradient';
    if (training ? labels.length !== this.#batch : labels.length > this.#batch)
      throw new Error(`internal: ${labels.length} images where a batch has ${this.#batch}`);
    if (images.length !== labels.length * this.#imageFloats)
      throw new Error(`internal: ${images.length} floats for ${labels.length} images`);
    this.#floats.set(images, this.#plan.images);
    this.#labels.set(labels);
    this.#execute(program, labels.length);
    return { loss: this.#result[0]!, correct: this.#result[1]! };
  }

  #execute(program: keyof Plan['programs'], images: number): void {
    for (const { handle, shares } of this.#programs[program])
      for (let share = 0; share < shares; share++) this.#machine.run(handle, images, share, shares);
  }

  #block(offset: number): Float32Array {
    return this.#floats.slice(offset, offset + this.#plan.parameterCount);
  }

  #fill(fills: readonly Fill[]): void {
    for (const { offset, floats, value } of fills)
      this.#floats.fill(value, offset, offset + floats);
  }
}
