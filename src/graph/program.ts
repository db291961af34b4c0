import {
  byExtent,
  channelAxis,
  type Extent,
  hasBatch,
  hasSpace,
  type LayerShape,
  sizeOf,
  union,
} from './extent.ts';
import { type Graph, type InputName, isInput, type Node } from './graph.ts';
import { type Kernel, loopOf, momentLoops, momentsInto, sumLoop } from './loops.ts';
import { isElementwise, isMoment, moments } from './ops.ts';

/** Values for the leaves of a graph; what is missing takes its starting value. */
export interface ProgramInputs {
  readonly x?: Float64Array;
  readonly v0?: Float64Array;
  readonly v1?: Float64Array;
  readonly gamma?: Float64Array;
  readonly beta?: Float64Array;
  readonly dy?: Float64Array;
  readonly statistics?: readonly Float64Array[];
}

/** Multiplies entry i of the value of node k by factor (stride · k + i) mod 256, before anything reads it. */
export interface Disturbance {
  /** 256 of them. */
  readonly factors: Float64Array;
  readonly stride: number;
}

const NO_DISTURBANCE: Disturbance = { factors: new Float64Array(256).fill(1), stride: 0 };

export interface ProgramOptions {
  /** Where the values go; by default memory of the program's own. It need not be cleared. */
  readonly allocate?: (size: number) => Float64Array;
  /** A sum that is smaller than this part of its terms counts as 0, as what rounding left of it. */
  readonly noiseFloor?: number;
}

/** A node as a kernel takes it: offsets of the value and of the arguments, and how to find their entries. */
interface Step {
  readonly kernel: Kernel;
  readonly node: number;
  readonly out: number;
  readonly size: number;
  readonly a: number;
  readonly b: number;
  readonly ia: Int32Array;
  readonly ib: Int32Array;
}

const NONE = new Int32Array(0);

/**
 * A graph compiled for one shape: fp64, the values of all nodes in one array, each at its node's extent.
 * `run` only loops, and allocates nothing.
 */
export class Program {
  readonly #nodes: readonly Node[];
  readonly #tables: Tables;
  readonly #noiseFloor: number;
  readonly #offsets: Int32Array;
  readonly #memory: Float64Array;
  readonly #leaves: number[] = [];
  readonly #steps: Step[] = [];

  constructor({ nodes }: Graph, shape: LayerShape, options: ProgramOptions = {}) {
    const { allocate = (size) => new Float64Array(size), noiseFloor = 0 } = options;
    this.#nodes = nodes;
    this.#tables = tablesOf(shape);
    this.#noiseFloor = noiseFloor;
    this.#offsets = new Int32Array(nodes.length + 1);
    for (let id = 0; id < nodes.length; id++)
      this.#offsets[id + 1] = this.#offsets[id]! + this.#tables.size(nodes[id]!.extent);
    this.#memory = allocate(this.#offsets[nodes.length]!);
    for (let id = 0; id < nodes.length; id++)
      if (nodes[id]!.args.length > 0) this.#steps.push(this.#step(id, nodes[id]!));
      else this.#leaves.push(id);
  }

  /** The value of a node: a view that every run overwrites. */
  value(id: number): Float64Array {
    return this.#memory.subarray(this.#offsets[id], this.#offsets[id + 1]);
  }

  /** Sets the leaves, which keep their values until they are set again. */
  load(inputs: ProgramInputs): void {
    for (const id of this.#leaves) this.#set(id, this.#nodes[id]!, inputs);
  }

  /** Computes all nodes, or those before node `end`, from the leaves as they are. */
  run({ factors, stride } = NO_DISTURBANCE, end = this.#nodes.length): void {
    const [memory, floor] = [this.#memory, this.#noiseFloor];
    for (const { kernel, node, out, size, a, b, ia, ib } of this.#steps) {
      if (node >= end) return;
      kernel(memory, out, size, a, b, ia, ib, floor, factors, stride * node);
    }
  }

  /** Writes the value of a node to `out`, repeated along the axes that only `to` has. */
  read(id: number, to: Extent, out: Float64Array): void {
    const table = this.#tables.projection(to, this.#nodes[id]!.extent);
    const [memory, offset] = [this.#memory, this.#offsets[id]!];
    for (let i = 0; i < table.length; i++) out[i] = memory[offset + table[i]!]!;
  }

  #step(id: number, node: Node): Step {
    const [a, b = a] = node.args as readonly [number, number?];
    const { extent } = node;
    const { size, projection } = this.#tables;
    const [first, second] = [this.#nodes[a]!.extent, this.#nodes[b]!.extent];
    const place = (kernel: Kernel, other: number, ia: Int32Array, ib: Int32Array): Step => {
      const [out, from] = [this.#offsets[id]!, this.#offsets[a]!];
      return { kernel, node: id, out, size: size(extent), a: from, b: other, ia, ib };
    };
    if (isElementwise(node.op)) {
      const at = this.#offsets[b]!;
      if (node.args.length === 1) return place(loopOf(node.op, 'one'), at, NONE, NONE);
      if (first === extent && second === extent)
        return place(loopOf(node.op, 'two'), at, NONE, NONE);
      const gather = loopOf(node.op, 'gather');
      return place(gather, at, projection(extent, first), projection(extent, second));
    }
    if (isMoment(node.op)) return place(momentLoops[node.op], 0, projection(first, extent), NONE);
    if (node.op !== 'sumTo') throw new Error(`internal: the interpreter does not know ${node.op}`);
    // The argument may vary over less than `from`, or lack an axis that the sum keeps.
    const over = union(first, extent);
    const times = size(node.from) / size(over);
    return place(sumLoop, times, projection(over, first), projection(over, extent));
  }

  #set(id: number, node: Node, inputs: ProgramInputs): void {
    const [start, end] = [this.#offsets[id]!, this.#offsets[id + 1]!];
    if (isInput(node.op)) {
      const given = node.op === 'zero' ? undefined : inputs[node.op];
      this.#put(start, end, node.op, given, STARTS[node.op]);
      return;
    }
    switch (node.op) {
      case 'const':
        this.#memory[start] = node.value;
        return;
      case 'perElement':
        this.#memory[start] = this.#tables.size(node.to) / this.#tables.size(node.from);
        return;
      case 'moving': {
        const { fromStatistic, initialStatistic } = moments[node.moment];
        const given = inputs.statistics?.[node.slot];
        this.#put(start, end, `statistic ${node.slot}`, given, initialStatistic);
        for (let i = start; i < end; i++) this.#memory[i] = fromStatistic(this.#memory[i]!);
        return;
      }
      default:
        throw new Error(`internal: the interpreter does not know ${node.op}`);
    }
  }

  #put(
    offset: number,
    end: number,
    name: string,
    given: Float64Array | undefined,
    missing: number | null,
  ): void {
    if (given && given.length !== end - offset)
      throw new Error(`internal: ${name} has ${given.length} entries, not ${end - offset}`);
    if (given) this.#memory.set(given, offset);
    else if (missing !== null) this.#memory.fill(missing, offset, end);
    else throw new Error(`internal: the graph reads ${name}, which is not given`);
  }
}

const STARTS: Record<InputName, number | null> = {
  x: null,
  dy: null,
  zero: 0,
  v0: 0,
  v1: 1,
  gamma: 1,
  beta: 0,
};

/** Sizes of extents, and where the entries of one lie in another. */
interface Tables {
  readonly size: (extent: Extent) => number;
  readonly projection: (from: Extent, to: Extent) => Int32Array;
}

/** For every element of extent `from`, the element of `to` ⊆ `from` that it belongs to. Kept per shape object. */
export const projection = (from: Extent, to: Extent, shape: LayerShape): Int32Array =>
  tablesOf(shape).projection(from, to);

const known = new WeakMap<LayerShape, Tables>();

function tablesOf(shape: LayerShape): Tables {
  let tables = known.get(shape);
  if (!tables) {
    const sizes = byExtent((extent) => sizeOf(extent, shape));
    const made = byExtent((): Partial<Record<Extent, Int32Array>> => ({}));
    const projection = (from: Extent, to: Extent) => {
      made[from][to] ??= project(from, to, shape);
      return made[from][to];
    };
    tables = { size: (extent) => sizes[extent], projection };
    known.set(shape, tables);
  }
  return tables;
}

function project(from: Extent, to: Extent, shape: LayerShape): Int32Array {
  const { batch, height, width, channels, groups } = shape;
  const batches = hasBatch(from) ? batch : 1;
  const places = hasSpace(from) ? height * width : 1;
  const lanes = { c: channels, g: groups, '': 1 }[channelAxis(from)];
  const kept = { c: channels, g: groups, '': 1 }[channelAxis(to)];
  const table = new Int32Array(batches * places * lanes);
  let i = 0;
  for (let b = 0; b < batches; b++)
    for (let s = 0; s < places; s++)
      for (let c = 0; c < lanes; c++) {
        const image = hasBatch(to) ? b : 0;
        const pixel = hasSpace(to) ? image * places + s : image;
        table[i++] = pixel * kept + Math.floor((c * kept) / lanes);
      }
  return table;
}

/** Mean and biased variance of `value` over the axes that `to` lacks; see `momentsInto`. */
export function momentsOf(
  value: Float64Array,
  from: Extent,
  to: Extent,
  shape: LayerShape,
  noiseFloor = 0,
): { mean: Float64Array; variance: Float64Array } {
  const tables = tablesOf(shape);
  const [mean, variance] = [0, 0].map(() => new Float64Array(tables.size(to)));
  const result = { mean: mean!, variance: variance! };
  momentsInto(result, value, 0, tables.projection(from, to), tables.size(to), noiseFloor);
  return result;
}
