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
import { ProgramWriter, type Tensor } from './encode.ts';
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
  readonly #registers = { floats: 0 };
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
      floats: this.#arena.size + SLACK,
      programs,
      constants: [...this.#constants.values()],
      moving,
    };
  }

  #emit(): Readonly<Record<keyof Plan['programs'], ProgramWriter>> {
    const { ops } = this.#network;
    const gradient = new ProgramWriter();
    this.#loadImages(gradient);
    for (const [i, op] of ops.entries())
      this.#forward(op, i, gradient, (placed) => placed.forward(gradient));
    this.#loss(true, gradient);
    for (let i = ops.length - 1; i >= 0; i--) this.#backward(ops[i]!, i, gradient);
    const update = new ProgramWriter();
    for (const placed of this.#layers.values())
      placed.updateStatistics(this.#setup.movingDecay, update);
    this.#optimise(update);
    const inference = new ProgramWriter();
    this.#loadImages(inference);
    for (const [i, op] of ops.entries())
      this.#forward(op, i, inference, (placed) => placed.inference(inference));
    this.#loss(false, inference);
    return { gradient, update, inference };
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

  #loadImages(out: ProgramWriter): void {
    const target = this.#buffers.values[0]!;
    if (target.offset === this.#offsets.images) return;
    out.instruction('copy', { ...target, offset: this.#offsets.images, halo: 0 }, target);
  }

  #forward(op: NetworkOp, i: number, out: ProgramWriter, layer: (placed: PlacedLayer) => void) {
    const { values, sumInto, fusedAdds } = this.#buffers;
    const y = values[i + 1]!;
    switch (op.op) {
      case 'conv': {
        const sum = sumInto.get(i);
        const w = this.#weights('parameters', i, 'conv');
        const [target, mode, r] = sum ? [values[sum.tensor]!, 1, values[sum.other]!] : [y, 0, y];
        out.instruction('conv', values[op.input]!, w, target, op.kernel, op.stride, mode, r);
        return;
      }
      case 'layer':
        layer(this.#layers.get(i)!);
        return;
      case 'add': {
        const [a, b] = op.inputs;
        if (!fusedAdds.has(i)) out.instruction('add', values[a]!, values[b]!, y);
        return;
      }
      case 'pool':
        out.instruction('pool', values[op.input]!, y);
        return;
      case 'dense': {
        const w = this.#weights('parameters', i, 'dense');
        const bias = this.#weights('parameters', i, 'bias');
        out.instruction('dense', values[op.input]!, w, bias, y);
        return;
      }
    }
  }

  #backward(op: NetworkOp, i: number, out: ProgramWriter): void {
    const { values, gradients } = this.#buffers;
    const dy = gradients[i + 1]!;
    switch (op.op) {
      case 'conv': {
        const w = this.#weights('parameters', i, 'conv');
        const dw = this.#weights('gradients', i, 'conv');
        const { kernel, stride, input } = op;
        out.instruction('convWeightGradient', values[input]!, dy, dw, kernel, stride);
        if (input === 0) return;
        const mode = this.#mode(i, input);
        out.instruction('convInputGradient', dy, w, gradients[input]!, kernel, stride, mode);
        return;
      }
      case 'layer':
        this.#layers.get(i)!.backward(out);
        return;
      case 'add':
        for (const input of op.inputs) this.#backwardTerm(i, dy, input, out);
        return;
      case 'pool':
        out.instruction('poolGradient', dy, gradients[op.input]!, this.#mode(i, op.input));
        return;
      case 'dense': {
        const w = this.#weights('parameters', i, 'dense');
        const [dw, db] = [
          this.#weights('gradients', i, 'dense'),
          this.#weights('gradients', i, 'bias'),
        ];
        const [x, dx] = [values[op.input]!, gradients[op.input]!];
        out.instruction('denseGradient', x, w, dy, dx, this.#mode(i, op.input), dw, db);
        return;
      }
    }
  }

  /** Hands the gradient of a sum to one of its terms, unless they share a buffer. */
  #backwardTerm(op: number, dy: Tensor, input: number, out: ProgramWriter): void {
    const dx = this.#buffers.gradients[input]!;
    if (input === 0 || dx.offset === dy.offset) return;
    if (this.#mode(op, input) === 1) out.instruction('add', dx, dy, dx);
    else out.instruction('copy', dy, dx);
  }

  #mode = (op: number, input: number): number => (this.#buffers.accumulates(op, input) ? 1 : 0);

  #loss(training: boolean, out: ProgramWriter): void {
    const t = this.#network.ops.length;
    const gradient = this.#buffers.gradients[t]!;
    const dlogits = training ? gradient : { ...gradient, offset: -1 };
    out.instruction(
      'loss',
      this.#buffers.values[t]!,
      this.#offsets.labels,
      dlogits,
      this.#offsets.result,
    );
  }

  /** One instruction per run of parameters that decay alike. */
  #optimise(out: ProgramWriter): void {
    const { parameters, gradients, momenta, hyper } = this.#offsets;
    const runs: { offset: number; size: number; decays: boolean }[] = [];
    for (const { kind, offset, size } of this.#layout) {
      const decays = kind === 'conv' || kind === 'dense';
      const run = runs.at(-1);
      if (run?.decays === decays) run.size += size;
      else runs.push({ offset, size, decays });
    }
    for (const { offset, size, decays } of runs) {
      const blocks = [parameters + offset, gradients + offset, momenta + offset];
      out.instruction('sgd', ...blocks, size, hyper, decays ? 1 : 0);
    }
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
