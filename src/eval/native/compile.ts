import { effectiveGroups } from '../../graph/extent.ts';
import type { LayerGraph } from '../../graph/graph.ts';
import type { TrainingSetup } from '../engine.ts';
import {
  type ImageShape,
  type Network,
  type NetworkOp,
  type Parameter,
  parameterLayout,
  tensorShapes,
} from '../network.ts';
import { Arena } from './arena.ts';
import { type Buffers, planBuffers } from './buffers.ts';
import { instruction, tensorWords } from './encode.ts';
import { SLACK } from './isa.ts';
import {
  type CompiledLayer,
  compileLayer,
  type LayerParameter,
  PlacedLayer,
  scratchFloats,
} from './layer.ts';

/** A network with a candidate layer, compiled: programs, and where in the arena everything stands. */
export interface Plan {
  /** Size of the arena, floats. */
  readonly floats: number;
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

/** Compiles `network` with `layer` in its slots, for a machine of `lanes` lanes. */
export function compile(
  network: Network,
  layer: LayerGraph,
  setup: TrainingSetup,
  lanes: number,
): Plan {
  return new Compilation(network, layer, setup, lanes).plan();
}

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
  readonly #registers = { offset: 0, floats: 0 };
  readonly #offsets;

  constructor(network: Network, layer: LayerGraph, setup: TrainingSetup, lanes: number) {
    this.#network = network;
    this.#setup = setup;
    this.#shapes = tensorShapes(network);
    this.#layout = parameterLayout(network, layer);
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
    const compiled = this.#compileLayers(layer, lanes);
    const slots = this.#arena.allocate(Math.max(16, ...[...compiled.values()].map(scratchFloats)));
    const constant = (value: number, period: number) => this.#constant(value, period);
    for (const [i, op] of network.ops.entries()) {
      if (op.op !== 'layer') continue;
      const code = compiled.get(shapeKey(this.#shapes[op.input]!))!;
      const scratch = { slots, registers: this.#registers, constant };
      const placed = new PlacedLayer(code, this.#layerPlace(i, op.input), scratch, this.#arena);
      this.#layers.set(i, placed);
      this.#movingPeriod.set(i, code.period);
    }
  }

  plan(): Plan {
    // The first emission finds how many registers and which constants there are, the second has their addresses.
    this.#emit();
    this.#registers.offset = this.#arena.allocate(this.#registers.floats);
    const programs = this.#emit();
    const moving = [...this.#layers].flatMap(([i, placed]) =>
      placed.moving.map(({ offset, initial }) => ({
        offset,
        floats: this.#movingPeriod.get(i)!,
        value: initial,
      })),
    );
    return {
      ...this.#offsets,
      floats: this.#arena.size + SLACK,
      programs,
      constants: [...this.#constants.values()],
      moving,
    };
  }

  #emit(): Plan['programs'] {
    const { ops } = this.#network;
    const forward = ops.flatMap((op, i) => this.#forward(op, i, (placed) => placed.forward()));
    const backward = ops.flatMap((_, k) => {
      const i = ops.length - 1 - k;
      return this.#backward(ops[i]!, i);
    });
    const inference = ops.flatMap((op, i) => this.#forward(op, i, (placed) => placed.inference()));
    const statistics = [...this.#layers.values()].flatMap((placed) =>
      placed.updateStatistics(this.#setup.movingDecay),
    );
    const start = this.#loadImages();
    return {
      gradient: Int32Array.from([...start, ...forward, ...this.#loss(true), ...backward]),
      update: Int32Array.from([...statistics, ...this.#optimise()]),
      inference: Int32Array.from([...start, ...inference, ...this.#loss(false)]),
    };
  }

  #compileLayers(layer: LayerGraph, lanes: number): Map<string, CompiledLayer> {
    const trained = (['v0', 'v1', 'gamma', 'beta'] as const).filter((name) =>
      this.#layout.some((p) => p.kind === name),
    );
    const compiled = new Map<string, CompiledLayer>();
    for (const op of this.#network.ops) {
      if (op.op !== 'layer') continue;
      const shape = this.#shapes[op.input]!;
      const key = shapeKey(shape);
      if (compiled.has(key)) continue;
      const groups = effectiveGroups(shape.channels, this.#setup.groups);
      const full = { ...shape, batch: this.#setup.batch, groups };
      compiled.set(key, compileLayer(layer, full, lanes, trained));
    }
    return compiled;
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

  #loadImages(): number[] {
    const target = this.#buffers.values[0]!;
    if (target.offset === this.#offsets.images) return [];
    const source = { ...target, offset: this.#offsets.images, halo: 0 };
    return instruction('copy', ...tensorWords(source), ...tensorWords(target));
  }

  #forward(op: NetworkOp, i: number, layer: (placed: PlacedLayer) => number[]): number[] {
    const value = (t: number) => tensorWords(this.#buffers.values[t]!);
    const y = value(i + 1);
    switch (op.op) {
      case 'conv': {
        const sum = this.#buffers.sumInto.get(i);
        const [mode, r] = sum ? [1, value(sum.other)] : [0, y];
        const target = sum ? value(sum.tensor) : y;
        const weights = this.#weights('parameters', i, 'conv');
        return instruction(
          'conv',
          ...value(op.input),
          weights,
          ...target,
          op.kernel,
          op.stride,
          mode,
          ...r,
        );
      }
      case 'layer':
        return layer(this.#layers.get(i)!);
      case 'add': {
        if (this.#buffers.fusedAdds.has(i)) return [];
        return instruction('add', ...value(op.inputs[0]), ...value(op.inputs[1]), ...y);
      }
      case 'pool':
        return instruction('pool', ...value(op.input), ...y);
      case 'dense': {
        const [w, b] = [
          this.#weights('parameters', i, 'dense'),
          this.#weights('parameters', i, 'bias'),
        ];
        return instruction('dense', ...value(op.input), w, b, ...y);
      }
    }
  }

  #backward(op: NetworkOp, i: number): number[] {
    const { values, gradients } = this.#buffers;
    const value = (t: number) => tensorWords(values[t]!);
    const gradient = (t: number) => tensorWords(gradients[t]!);
    const dy = gradient(i + 1);
    switch (op.op) {
      case 'conv': {
        const w = this.#weights('parameters', i, 'conv');
        const dw = this.#weights('gradients', i, 'conv');
        const shape = [op.kernel, op.stride];
        const words = instruction('convWeightGradient', ...value(op.input), ...dy, dw, ...shape);
        if (op.input === 0) return words;
        const mode = this.#mode(i, op.input);
        return [
          ...words,
          ...instruction('convInputGradient', ...dy, w, ...gradient(op.input), ...shape, mode),
        ];
      }
      case 'layer':
        return this.#layers.get(i)!.backward();
      case 'add':
        return op.inputs.flatMap((input) => {
          const [source, target] = [gradients[i + 1]!, gradients[input]!];
          if (source.offset === target.offset) return [];
          return this.#mode(i, input) === 1
            ? instruction('add', ...gradient(input), ...dy, ...gradient(input))
            : instruction('copy', ...dy, ...gradient(input));
        });
      case 'pool':
        return instruction('poolGradient', ...dy, ...gradient(op.input), this.#mode(i, op.input));
      case 'dense': {
        const [dw, db] = [
          this.#weights('gradients', i, 'dense'),
          this.#weights('gradients', i, 'bias'),
        ];
        const w = this.#weights('parameters', i, 'dense');
        const mode = this.#mode(i, op.input);
        return instruction(
          'denseGradient',
          ...value(op.input),
          w,
          ...dy,
          ...gradient(op.input),
          mode,
          dw,
          db,
        );
      }
    }
  }

  #mode = (op: number, input: number): number => (this.#buffers.accumulates(op, input) ? 1 : 0);

  #loss(training: boolean): number[] {
    const t = this.#network.ops.length;
    const logits = tensorWords(this.#buffers.values[t]!);
    const dlogits = tensorWords({
      ...this.#buffers.gradients[t]!,
      ...(training ? {} : { offset: -1 }),
    });
    return instruction('loss', ...logits, this.#offsets.labels, ...dlogits, this.#offsets.result);
  }

  /** One instruction per run of parameters that decay alike. */
  #optimise(): number[] {
    const { parameters, gradients, momenta, hyper } = this.#offsets;
    const runs: { offset: number; size: number; decays: boolean }[] = [];
    for (const { kind, offset, size } of this.#layout) {
      const decays = kind === 'conv' || kind === 'dense';
      const run = runs.at(-1);
      if (run?.decays === decays) run.size += size;
      else runs.push({ offset, size, decays });
    }
    return runs.flatMap(({ offset, size, decays }) =>
      instruction(
        'sgd',
        ...[parameters + offset, gradients + offset, momenta + offset],
        ...[size, hyper, decays ? 1 : 0],
      ),
    );
  }

  #weights(block: 'parameters' | 'gradients', op: number, kind: Parameter['kind']): number {
    const parameter = this.#layout.find((p) => p.op === op && p.kind === kind)!;
    return this.#offsets[block] + parameter.offset;
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

const shapeKey = ({ height, width, channels }: ImageShape): string =>
  `${height} ${width} ${channels}`;
