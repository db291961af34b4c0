import type { LayerGraph } from '../../graph/graph.ts';
import type { TrainingSetup } from '../engine.ts';
import {
  type ImageShape,
  type LayerParameter,
  type Network,
  type Parameter,
  parameterLayout,
  tensorShapes,
} from '../network.ts';
import { Arena } from './arena.ts';
import { type Buffers, planBuffers } from './buffers.ts';
import { Emitter } from './emit.ts';
import { ProgramWriter } from './encode.ts';
import { SLACK } from './isa.ts';
import { PlacedLayer, scratchFloats } from './layer.ts';
import { ShapedLayer } from './shaped-layer.ts';

/** A network with a candidate layer, compiled: programs, and where in the arena everything stands. */
export interface Plan {
  /** Size of the arena, floats. */
  readonly floats: number;
  /** The most images that a run may have: all of a batch, or a block of them. */
  readonly block: number;
  readonly programs: {
    /** Forward and backward, parameters untouched. */
    readonly gradient: Int32Array;
    /** What follows `gradient` in a training step: the optimiser and the moving statistics. */
    readonly update: Int32Array;
    /** Forward with moving statistics, and the loss. */
    readonly inference: Int32Array;
  };
  /** Offsets: the images and labels of a batch, [lr, momentum, weight decay], and two float64: Σ loss, correct. */
  readonly images: number;
  readonly labels: number;
  readonly hyper: number;
  readonly result: number;
  readonly parameters: number;
  readonly gradients: number;
  readonly momenta: number;
  /** Floats of each of the three. */
  readonly parameterCount: number;
  /** Ranges to fill: constants once, moving statistics whenever parameters are loaded. */
  readonly constants: readonly Fill[];
  readonly moving: readonly Fill[];
}

export interface Fill {
  readonly offset: number;
  readonly floats: number;
  readonly value: number;
}

/** The arena, in floats, beyond which a batch is run in blocks, and how much of it the images of a block may take. */
export interface WorkingSet {
  readonly most: number;
  readonly wanted: number;
}

/**
 * A step with more memory than the caches hold waits for it a fifth of its time and more. Blocks of about 4 MB were
 * fastest; what the minis take, up to half of `most`, gains little from blocks, and less than compiling twice costs.
 */
const WORKING_SET: WorkingSet = { most: 1 << 22, wanted: 1 << 20 };

/** With fewer images the large anchors got slower again: weights are packed anew for each block. */
const LEAST_BLOCK = 4;

/**
 * Compiles `network` with `layer` in its slots, for a machine of `lanes` lanes. Where the arena of a whole batch
 * is large, and no layer has a moment over the batch, the plan is one for blocks of images.
 */
export function compile(
  network: Network,
  layer: LayerGraph,
  setup: TrainingSetup,
  lanes: number,
  workingSet = WORKING_SET,
): Plan {
  const of = (batch: number) =>
    new Compilation(network, new ShapedLayer(layer, { ...setup, batch }, lanes));
  const whole = of(setup.batch);
  if (whole.floats <= workingSet.most || whole.hasBatchMoments) return whole.plan();
  // Twice, since what is kept and what is computed again depends on the size.
  const estimate = of(whole.blockFor(setup.batch, workingSet));
  const block = estimate.blockFor(setup.batch, workingSet);
  return (block < estimate.block ? of(block) : estimate).plan();
}

/**
 * Floats of the arena for `network`, without writing programs: tile registers and constants, some ten
 * kilobytes, are missing.
 */
export const arenaFloats = (network: Network, layer: ShapedLayer): number =>
  new Compilation(network, layer).floats;

class Compilation {
  readonly #network: Network;
  readonly #setup: TrainingSetup;
  readonly #arena = new Arena();
  readonly #shapes: readonly ImageShape[];
  readonly #layout: readonly Parameter[];
  readonly #buffers: Buffers;
  readonly #constants = new Map<string, Fill>();
  readonly #layers = new Map<number, PlacedLayer>();
  readonly #movingPeriod = new Map<number, number>();
  readonly #registers = { floats: 0 };
  readonly #offsets;

  constructor(network: Network, layer: ShapedLayer) {
    const { setup } = layer;
    this.#network = network;
    this.#setup = setup;
    this.#shapes = tensorShapes(network);
    this.#layout = parameterLayout(network, layer.graph);
    const last = this.#layout.at(-1);
    const parameterCount = last ? last.offset + last.size : 0;
    const { height, width, channels } = network.image;
    this.#offsets = {
      result: this.#arena.allocate(4),
      hyper: this.#arena.allocate(3),
      labels: this.#arena.allocate(setup.batch),
      images: this.#arena.allocate(setup.batch * height * width * channels),
      parameters: this.#arena.allocate(parameterCount),
      gradients: this.#arena.allocate(parameterCount),
      momenta: this.#arena.allocate(parameterCount),
      parameterCount,
    };
    this.#buffers = planBuffers(network, setup.batch, this.#offsets.images, this.#arena);
    const used = network.ops.flatMap((op, at) =>
      op.op === 'layer' ? [{ at, input: op.input, code: layer.at(this.#shapes[op.input]!) }] : [],
    );
    const slots = this.#arena.allocate(
      Math.max(16, ...used.map(({ code }) => scratchFloats(code))),
    );
    const constant = (value: number, period: number) => this.#constant(value, period);
    const scratch = { slots, registers: this.#registers, constant };
    for (const { at, input, code } of used) {
      const placed = new PlacedLayer(code, this.#layerPlace(at, input), scratch, this.#arena);
      this.#layers.set(at, placed);
      this.#movingPeriod.set(at, code.period);
    }
  }

  get floats(): number {
    return this.#arena.size + SLACK;
  }

  get block(): number {
    return this.#setup.batch;
  }

  get hasBatchMoments(): boolean {
    return [...this.#layers.values()].some(({ moving }) => moving.length > 0);
  }

  /** How many images of a batch have the working set that is wanted, judging by this one; blocks are of about equal size. */
  blockFor(batch: number, { wanted }: WorkingSet): number {
    const perImage = (this.floats - 3 * this.#offsets.parameterCount) / this.block;
    const fitting = Math.min(batch, Math.max(LEAST_BLOCK, Math.floor(wanted / perImage)));
    return Math.ceil(batch / Math.ceil(batch / fitting));
  }

  plan(): Plan {
    const writers = this.#emit();
    const registers = this.#arena.allocate(this.#registers.floats);
    const programs = {
      gradient: writers.gradient.finish(registers),
      update: writers.update.finish(registers),
      inference: writers.inference.finish(registers),
    };
    const moving = [...this.#layers].flatMap(([i, placed]) =>
      placed.moving.map(({ offset, initial }) => ({
        offset,
        floats: this.#movingPeriod.get(i)!,
        value: initial,
      })),
    );
    return {
      ...this.#offsets,
      floats: this.floats,
      block: this.block,
      programs,
      constants: [...this.#constants.values()],
      moving,
    };
  }

  #emit(): Readonly<Record<keyof Plan['programs'], ProgramWriter>> {
    const emitter = new Emitter(
      this.#network,
      this.#layout,
      this.#buffers,
      this.#offsets,
      this.#layers,
    );
    const gradient = new ProgramWriter();
    emitter.forward(gradient, (placed) => placed.forward(gradient));
    emitter.loss(true, gradient);
    emitter.backward(gradient);
    const update = new ProgramWriter();
    for (const placed of this.#layers.values())
      placed.updateStatistics(this.#setup.movingDecay, update);
    emitter.optimise(update);
    const inference = new ProgramWriter();
    emitter.forward(inference, (placed) => placed.inference(inference));
    emitter.loss(false, inference);
    return { gradient, update, inference };
  }

  #layerPlace(op: number, input: number) {
    const own = this.#layout.filter((p) => p.op === op);
    const parameters = Object.fromEntries(
      own.map((p) => [
        p.kind,
        {
          value: this.#offsets.parameters + p.offset,
          gradient: this.#offsets.gradients + p.offset,
        },
      ]),
    ) as Record<LayerParameter, { value: number; gradient: number }>;
    return {
      x: this.#buffers.values[input]!,
      y: this.#buffers.values[op + 1]!,
      dy: this.#buffers.gradients[op + 1]!,
      dx:
        input === 0
          ? undefined
          : {
              tensor: this.#buffers.gradients[input]!,
              accumulate: this.#buffers.accumulates(op, input),
            },
      parameters,
    };
  }

  #constant(value: number, period: number): number {
    const key = `${value} ${period}`;
    let fill = this.#constants.get(key);
    if (!fill) {
      fill = { offset: this.#arena.allocate(period), floats: period, value };
      this.#constants.set(key, fill);
    }
    return fill.offset;
  }
}
