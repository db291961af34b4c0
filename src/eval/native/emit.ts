import { DECAYED, type Network, type NetworkOp, type Parameter } from '../network.ts';
import type { Buffers } from './buffers.ts';
import type { ProgramWriter, Tensor } from './encode.ts';
import type { PlacedLayer } from './layer.ts';

/** Where in the arena stands what has a place of its own; all in floats. */
export interface Places {
  readonly images: number;
  readonly labels: number;
  readonly hyper: number;
  readonly result: number;
  readonly parameters: number;
  readonly gradients: number;
  readonly momenta: number;
}

type Excite = Extract<NetworkOp, { op: 'squeezeExcite' }>;

/** Writes the instructions of a network whose buffers are planned. */
export class Emitter {
  readonly #network: Network;
  readonly #layout: readonly Parameter[];
  readonly #buffers: Buffers;
  readonly #places: Places;
  /** By operation. */
  readonly #layers: ReadonlyMap<number, PlacedLayer>;

  constructor(
    network: Network,
    layout: readonly Parameter[],
    buffers: Buffers,
    places: Places,
    layers: ReadonlyMap<number, PlacedLayer>,
  ) {
    this.#network = network;
    this.#layout = layout;
    this.#buffers = buffers;
    this.#places = places;
    this.#layers = layers;
  }

  /** From the images to the logits; `layer` writes what a layer does. */
  forward(out: ProgramWriter, layer: (placed: PlacedLayer) => void): void {
    this.#loadImages(out);
    for (const [i, op] of this.#network.ops.entries()) {
      if (op.op === 'layer') layer(this.#layers.get(i)!);
      else this.#forward(op, i, out);
    }
  }

  /** From the gradient of the logits to that of all parameters. */
  backward(out: ProgramWriter): void {
    const { ops } = this.#network;
    for (let i = ops.length - 1; i >= 0; i--) this.#backward(ops[i]!, i, out);
  }

  loss(training: boolean, out: ProgramWriter): void {
    const t = this.#network.ops.length;
    const { values, gradients } = this.#buffers;
    const dlogits = training ? gradients[t]! : { ...gradients[t]!, offset: -1 };
    out.instruction('loss', values[t]!, this.#places.labels, dlogits, this.#places.result);
  }

  /** One instruction per run of parameters that decay alike. */
  optimise(out: ProgramWriter): void {
    const { parameters, gradients, momenta, hyper } = this.#places;
    const runs: { offset: number; size: number; decays: boolean }[] = [];
    for (const { kind, offset, size } of this.#layout) {
      const decays = DECAYED.has(kind);
      const run = runs.at(-1);
      if (run?.decays === decays) run.size += size;
      else runs.push({ offset, size, decays });
    }
    for (const { offset, size, decays } of runs) {
      const blocks = [parameters + offset, gradients + offset, momenta + offset];
      out.instruction('sgd', ...blocks, size, hyper, decays ? 1 : 0);
    }
  }

  #loadImages(out: ProgramWriter): void {
    const target = this.#buffers.values[0]!;
    const { images } = this.#places;
    if (target.offset !== images)
      out.instruction('copy', { ...target, offset: images, halo: 0 }, target);
  }

  #forward(op: Exclude<NetworkOp, { op: 'layer' }>, i: number, out: ProgramWriter): void {
    const { values, sumInto, fusedAdds } = this.#buffers;
    const y = values[i + 1]!;
    switch (op.op) {
      case 'conv': {
        const sum = sumInto.get(i);
        const w = this.#parameter(i, 'conv');
        const [target, mode, r] = sum ? [values[sum.tensor]!, 1, values[sum.other]!] : [y, 0, y];
        out.instruction('conv', values[op.input]!, w, target, op.kernel, op.stride, mode, r);
        return;
      }
      case 'depthwise': {
        const w = this.#parameter(i, 'depthwise');
        out.instruction('depthwise', values[op.input]!, w, y, op.kernel, op.stride);
        return;
      }
      case 'squeezeExcite':
        this.#excite(op, i, out);
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
        const [w, bias] = [this.#parameter(i, 'dense'), this.#parameter(i, 'bias')];
        out.instruction('dense', values[op.input]!, w, bias, y);
        return;
      }
    }
  }

  #backward(op: NetworkOp, i: number, out: ProgramWriter): void {
    const { values, gradients } = this.#buffers;
    const dy = gradients[i + 1]!;
    switch (op.op) {
      case 'conv':
      case 'depthwise':
        this.#backwardConvolution(op, i, out);
        return;
      case 'layer':
        this.#layers.get(i)!.backward(out);
        return;
      case 'squeezeExcite':
        this.#backwardExcite(op, i, out);
        return;
      case 'add':
        for (const input of op.inputs) this.#backwardTerm(i, dy, input, out);
        return;
      case 'pool':
        out.instruction('poolGradient', dy, gradients[op.input]!, this.#mode(i, op.input));
        return;
      case 'dense': {
        const w = this.#parameter(i, 'dense');
        const own = [this.#gradient(i, 'dense'), this.#gradient(i, 'bias')];
        const [x, dx] = [values[op.input]!, gradients[op.input]!];
        out.instruction('denseGradient', x, w, dy, dx, this.#mode(i, op.input), ...own);
        return;
      }
    }
  }

  #backwardConvolution(
    op: Extract<NetworkOp, { op: 'conv' | 'depthwise' }>,
    i: number,
    out: ProgramWriter,
  ): void {
    const { kernel, stride, input } = op;
    const [x, dx] = [this.#buffers.values[input]!, this.#buffers.gradients[input]!];
    const dy = this.#buffers.gradients[i + 1]!;
    const [w, dw] = [this.#parameter(i, op.op), this.#gradient(i, op.op)];
    out.instruction(`${op.op}WeightGradient`, x, dy, dw, kernel, stride);
    if (input === 0) return;
    const mode = this.#mode(i, input);
    out.instruction(`${op.op}InputGradient`, dy, w, dx, kernel, stride, mode);
  }

  #excite(op: Excite, i: number, out: ProgramWriter): void {
    const { mean, reduced, active, factors } = this.#buffers.excitations.get(i)!;
    const [x, y] = [this.#buffers.values[op.input]!, this.#buffers.values[i + 1]!];
    const [w1, b1] = [this.#parameter(i, 'reduce'), this.#parameter(i, 'reduceBias')];
    const [w2, b2] = [this.#parameter(i, 'expand'), this.#parameter(i, 'expandBias')];
    out.instruction('pool', x, mean);
    out.instruction('dense', mean, w1, b1, reduced);
    out.instruction('silu', reduced, active);
    out.instruction('dense', active, w2, b2, factors);
    out.instruction('sigmoid', factors, factors);
    out.instruction('scale', x, factors, y);
  }

  #backwardExcite(op: Excite, i: number, out: ProgramWriter): void {
    const vectors = this.#buffers.excitations.get(i)!;
    const { mean, reduced, active, factors, dMean, dReduced, dFactors } = vectors;
    const [x, dx] = [this.#buffers.values[op.input]!, this.#buffers.gradients[op.input]!];
    const dy = this.#buffers.gradients[i + 1]!;
    const [w1, w2] = [this.#parameter(i, 'reduce'), this.#parameter(i, 'expand')];
    const own1 = [this.#gradient(i, 'reduce'), this.#gradient(i, 'reduceBias')];
    const own2 = [this.#gradient(i, 'expand'), this.#gradient(i, 'expandBias')];
    out.instruction('scaleFactorGradient', x, dy, dFactors);
    out.instruction('sigmoidGradient', factors, dFactors, dFactors);
    out.instruction('denseGradient', active, w2, dFactors, dReduced, 0, ...own2);
    out.instruction('siluGradient', reduced, dReduced, dReduced);
    out.instruction('denseGradient', mean, w1, dReduced, dMean, 0, ...own1);
    if (op.input === 0) return;
    out.instruction('scaleInputGradient', dy, factors, dMean, dx, this.#mode(i, op.input));
  }

  /** Hands the gradient of a sum to one of its terms, unless they share a buffer. */
  #backwardTerm(op: number, dy: Tensor, input: number, out: ProgramWriter): void {
    const dx = this.#buffers.gradients[input]!;
    if (input === 0 || dx.offset === dy.offset) return;
    if (this.#mode(op, input) === 1) out.instruction('add', dx, dy, dx);
    else out.instruction('copy', dy, dx);
  }

  #mode(op: number, input: number): number {
    return this.#buffers.accumulates(op, input) ? 1 : 0;
  }

  #parameter(op: number, kind: Parameter['kind']): number {
    return this.#places.parameters + this.#offset(op, kind);
  }

  #gradient(op: number, kind: Parameter['kind']): number {
    return this.#places.gradients + this.#offset(op, kind);
  }

  #offset(op: number, kind: Parameter['kind']): number {
    return this.#layout.find((p) => p.op === op && p.kind === kind)!.offset;
  }
}
