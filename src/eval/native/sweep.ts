import type { LayerShape } from '../../graph/extent.ts';
import type { Operand, ProgramWriter, Tensor } from './encode.ts';
import { RECORD_WORDS } from './isa.ts';
import { argsOf, isSpatial, type MachineGraph, type MachineNode, type Scope } from './lower.ts';
import type { Pass, Phase } from './schedule.ts';

/** What a stored value becomes: a tensor, overwritten or added to. */
export interface Target {
  readonly tensor: Tensor;
  readonly accumulate: boolean;
}

/** Everything that ties a schedule to addresses. */
export interface Binding {
  readonly graph: MachineGraph<string>;
  /** Least multiple of channels and lanes. */
  readonly period: number;
  readonly inputs: Readonly<Partial<Record<'x' | 'dy', Tensor>>>;
  readonly targets: Readonly<Record<string, { readonly node: number; readonly target: Target }>>;
  /** Where the values that passes keep stand. */
  readonly kept: ReadonlyMap<number, Tensor>;
  /** Where the value of a node without space stands, or the running sums of a reduction. */
  readonly slot: (id: number) => Operand;
  /** Space for tile registers: grows to what the largest sweep needs. */
  readonly registers: { floats: number };
}

/**
 * Floats per tile, about: then the tensors and registers of a sweep fit the first-level cache together. Half as
 * many and four times as many are both slower (measured).
 */
const TILE_FLOATS = 1024;
const STATISTIC_CODE = { mean: 0, meanSquare: 1, variance: 2 } as const;
const SCOPE_CODE: Record<Scope, number> = { image: 0, batch: 1 };

/** Writes the program of one phase. */
export function emitPhase(phase: Phase, binding: Binding, out: ProgramWriter): void {
  if (phase.small.length > 0) {
    const { channels } = shapeOf(binding);
    emitSmall(out, channels, binding.period, () => {
      for (const id of phase.small) slotRecord(id, binding, out);
    });
  }
  const used = phase.passes.filter((pass) => !isEmpty(pass));
  if (used.length > 0) emitSweep(used, binding, out);
}

/** A `small` instruction of the records that `write` writes; nothing where it writes none. */
export function emitSmall(
  out: ProgramWriter,
  channels: number,
  period: number,
  write: () => void,
): void {
  out.begin('small');
  out.word(channels);
  out.word(period);
  counted(out, write);
  out.end();
}

/** Writes the number of records before them. */
function counted(out: ProgramWriter, write: () => void): void {
  const at = out.length;
  out.word(0);
  write();
  out.patch(at, (out.length - at - 1) / RECORD_WORDS);
}

const isEmpty = (pass: Pass): boolean =>
  [pass.prelude, pass.reductions, pass.stores, pass.keeps, pass.epilogue].every(
    (list) => list.length === 0,
  );

function shapeOf(binding: Binding): Tensor {
  const tensor = binding.inputs.x ?? binding.inputs.dy;
  if (!tensor) throw new Error('internal: a layer without an input tensor');
  return tensor;
}

function emitSweep(passes: readonly Pass[], binding: Binding, out: ProgramWriter): void {
  const { height, width, channels } = shapeOf(binding);
  const { period } = binding;
  const tilePixels = pixelsPerTile(height * width, channels, period);
  const floats = Math.ceil((tilePixels * channels) / period) * period;
  const tensors = tensorsOf(passes, binding);
  out.begin('sweep');
  for (const word of [height, width, channels, period, tilePixels]) out.word(word);
  const registersAt = out.length;
  out.word(0);
  out.word(floats);
  out.registerBase();
  out.word(tensors.length);
  for (const tensor of tensors) out.tensor(tensor);
  out.word(passes.length);
  const registers = emitPasses(passes, binding, tensors, tilePixels >= height * width, out);
  out.patch(registersAt, registers);
  out.end();
  binding.registers.floats = Math.max(binding.registers.floats, registers * floats);
}

/** Every tensor that the sweep may read or write, each once. */
function tensorsOf(passes: readonly Pass[], { inputs, targets, kept }: Binding): Tensor[] {
  const stored = passes.flatMap((pass) => pass.stores.map((name) => targets[name]!.target.tensor));
  const all = [inputs.x, inputs.dy, ...stored, ...kept.values()].filter((t) => t !== undefined);
  return all.filter((t, i) => all.findIndex((other) => other.offset === t.offset) === i);
}

/** Returns the number of registers that the passes need. Where a tile is a whole image, they live on from pass to pass. */
function emitPasses(
  passes: readonly Pass[],
  binding: Binding,
  tensors: readonly Tensor[],
  registersLast: boolean,
  out: ProgramWriter,
): number {
  if (registersLast) {
    const tile = new TileEmitter(passes, binding, tensors, out);
    for (const pass of passes) emitPass(pass, tile, binding, out);
    return tile.registers;
  }
  const counts = passes.map((pass) => {
    const tile = new TileEmitter([pass], binding, tensors, out);
    emitPass(pass, tile, binding, out);
    return tile.registers;
  });
  return Math.max(...counts);
}

function emitPass(pass: Pass, tile: TileEmitter, binding: Binding, out: ProgramWriter): void {
  const countsAt = out.length;
  for (let part = 0; part < 3; part++) out.word(0);
  let start = out.length;
  const count = (part: number) => {
    out.patch(countsAt + part, (out.length - start) / RECORD_WORDS);
    start = out.length;
  };
  for (const id of pass.prelude) slotRecord(id, binding, out);
  count(0);
  tile.emit(pass);
  count(1);
  for (const id of pass.epilogue) slotRecord(id, binding, out);
  count(2);
}

/** Whether a tile holds a whole image, so that registers live on from pass to pass. */
export function holdsImages({ height, width, channels }: LayerShape, period: number): boolean {
  return pixelsPerTile(height * width, channels, period) >= height * width;
}

/** Tiles of equal size, in whole periods, of about `TILE_FLOATS`. */
function pixelsPerTile(pixels: number, channels: number, period: number): number {
  const unit = period / channels;
  const tiles = Math.ceil((pixels * channels) / Math.max(TILE_FLOATS, period));
  return Math.ceil(Math.ceil(pixels / tiles) / unit) * unit;
}

/** The record that computes a node without space from slots. */
function slotRecord(id: number, binding: Binding, out: ProgramWriter): void {
  const node = binding.graph.nodes[id]!;
  const dst = binding.slot(id);
  const args = argsOf(node).map(binding.slot);
  if (node.kind === 'map') out.record(node.code, dst, args);
  if (node.kind === 'reduce') out.record(node.code, dst, args, SCOPE_CODE[node.scope]);
  if (node.kind === 'fold') out.record('fold', dst, args, 0, node.combined);
  if (node.kind === 'moment') {
    const { statistic, combined, count, scope } = node;
    out.record('moment', dst, args, STATISTIC_CODE[statistic], combined, count, SCOPE_CODE[scope]);
  }
}

/** Writes the tile records of passes: every spatial node that their goals need, in registers, computed once. */
class TileEmitter {
  registers = 0;
  readonly #binding: Binding;
  readonly #tensors: readonly Tensor[];
  readonly #out: ProgramWriter;
  readonly #uses = new Map<number, number>();
  readonly #values = new Map<number, Operand>();
  readonly #free: number[] = [];

  constructor(
    passes: readonly Pass[],
    binding: Binding,
    tensors: readonly Tensor[],
    out: ProgramWriter,
  ) {
    this.#binding = binding;
    this.#tensors = tensors;
    this.#out = out;
    const own = new Set(passes.flatMap((pass) => pass.keeps));
    for (const [id, tensor] of binding.kept)
      if (!own.has(id)) this.#values.set(id, this.#operand(tensor));
    for (const { reductions, stores } of passes) {
      for (const id of reductions) this.#use(argsOf(this.#node(id))[0]!);
      for (const name of stores) this.#use(binding.targets[name]!.node);
    }
    for (const id of own) this.#use(id);
  }

  emit({ reductions, stores, keeps }: Pass): void {
    for (const id of reductions) this.#reduce(id);
    for (const name of stores) {
      const { node, target } = this.#binding.targets[name]!;
      this.#store(node, target);
    }
    // Computed by now, unless it was for a store that is not wanted.
    for (const id of keeps) {
      this.#value(id);
      this.#release(id);
    }
  }

  #operand = (tensor: Tensor): Operand => ({
    kind: 'tensor',
    at: this.#tensors.findIndex((t) => t.offset === tensor.offset),
  });

  #node = (id: number): MachineNode => this.#binding.graph.nodes[id]!;

  #use(id: number): void {
    const uses = this.#uses.get(id) ?? 0;
    this.#uses.set(id, uses + 1);
    if (uses === 0 && isSpatial(this.#node(id)) && !this.#values.has(id))
      for (const a of argsOf(this.#node(id))) this.#use(a);
  }

  /** The map behind a node that only its one reader needs, and that nothing has computed yet: it can be fused. */
  #fusible(id: number, code: string): readonly number[] | undefined {
    const node = this.#node(id);
    const once = this.#uses.get(id) === 1 && !this.#values.has(id) && isSpatial(node);
    return once && !this.#binding.kept.has(id) && node.kind === 'map' && node.code === code
      ? node.args
      : undefined;
  }

  #reduce(id: number): void {
    const node = this.#node(id);
    if (node.kind !== 'reduce') throw new Error('internal: not a reduction');
    const [a] = node.args;
    const dst = this.#binding.slot(id);
    const scope = SCOPE_CODE[node.scope];
    const squared = this.#fusible(a, 'square');
    const factors = this.#fusible(a, 'mul') ?? (squared && [squared[0]!, squared[0]!]);
    if (node.code === 'sum' && factors) {
      const args = factors.map((f) => this.#value(f));
      this.#out.record('dot', dst, args, scope);
      for (const f of new Set(factors)) this.#release(f);
    } else {
      this.#out.record(node.code, dst, [this.#value(a)], scope);
      this.#release(a);
    }
  }

  #store(id: number, { tensor, accumulate }: Target): void {
    const dst = this.#operand(tensor);
    if (!accumulate) {
      const known = this.#values.get(id);
      if (
        known ||
        !isSpatial(this.#node(id)) ||
        this.#uses.get(id)! > 1 ||
        this.#binding.kept.has(id) ||
        this.#node(id).kind !== 'map'
      ) {
        this.#out.record('copy', dst, [known ?? this.#value(id)]);
        this.#release(id);
      } else this.#compute(id, dst);
      return;
    }
    const before = this.#load(dst, tensor);
    const factors = this.#fusible(id, 'mul');
    const args = (factors ?? [id]).map((f) => this.#value(f));
    this.#out.record(factors ? 'fma' : 'add', dst, [...args, before]);
    for (const f of factors ?? [id]) this.#release(f);
    this.#recycle(before);
  }

  /** A tensor as an argument: itself where it has no halo, else a copy in a register. */
  #load(operand: Operand, tensor: Tensor): Operand {
    if (tensor.halo === 0) return operand;
    const dst = this.#register();
    this.#out.record('copy', dst, [operand]);
    return dst;
  }

  #value(id: number): Operand {
    const node = this.#node(id);
    if (!isSpatial(node)) return this.#binding.slot(id);
    const known = this.#values.get(id);
    if (known) return known;
    if (node.kind === 'tensor') {
      const tensor = this.#binding.inputs[node.name]!;
      const operand = this.#load(this.#operand(tensor), tensor);
      this.#values.set(id, operand);
      return operand;
    }
    return this.#compute(id);
  }

  /** Computes a map, into a register unless told where. */
  #compute(id: number, target?: Operand): Operand {
    const node = this.#node(id);
    if (node.kind !== 'map') throw new Error(`internal: ${node.kind} is not computed in tiles`);
    const { code, args: ids } = this.#fused(node.code, node.args);
    const args = ids.map((a) => this.#value(a));
    for (const a of new Set(ids)) this.#release(a, ids.filter((b) => b === a).length);
    const kept = this.#binding.kept.get(id);
    const dst = target ?? (kept ? this.#operand(kept) : this.#register());
    this.#out.record(code, dst, args);
    if (!target) this.#values.set(id, dst);
    return dst;
  }

  /** Two or three maps in one record. */
  #fused(code: Extract<MachineNode, { kind: 'map' }>['code'], args: readonly number[]) {
    const [a, b] = args as [number, number];
    if (code === 'add') {
      const left = this.#fusible(a, 'mul');
      if (left) return { code: 'fma', args: [...left, b] } as const;
      const right = this.#fusible(b, 'mul');
      if (right) return { code: 'fma', args: [...right, a] } as const;
    }
    if (code === 'sub') {
      const right = this.#fusible(b, 'mul');
      if (right) return { code: 'fnma', args: [...right, a] } as const;
      const left = this.#fusible(a, 'mul');
      if (left) return { code: 'fms', args: [...left, b] } as const;
    }
    return (code === 'mul' && (this.#gradient(a, b) ?? this.#gradient(b, a))) || { code, args };
  }

  /** The gradients of sigmoid, tanh and max are factors of these forms. */
  #gradient(a: number, factor: number) {
    const step = this.#fusible(factor, 'step');
    if (step) return { code: 'gate', args: [a, ...step] } as const;
    const [one, b] = this.#fusible(factor, 'sub') ?? [];
    if (one === undefined || b === undefined || !this.#isOne(one)) return undefined;
    const root = this.#fusible(b, 'square');
    if (root) return { code: 'tanhGradient', args: [a, ...root] } as const;
    return { code: 'complement', args: [a, b] } as const;
  }

  #isOne(id: number): boolean {
    const node = this.#node(id);
    return node.kind === 'constant' && node.value === 1;
  }

  #release(id: number, times = 1): void {
    const left = (this.#uses.get(id) ?? 0) - times;
    this.#uses.set(id, left);
    const value = this.#values.get(id);
    if (left <= 0 && value) {
      this.#values.delete(id);
      this.#recycle(value);
    }
  }

  #recycle({ kind, at }: Operand): void {
    if (kind === 'register') this.#free.push(at);
  }

  #register(): Operand {
    const at = this.#free.pop() ?? this.registers++;
    return { kind: 'register', at };
  }
}
