import {
  channelAxis,
  type Extent,
  hasBatch,
  hasSpace,
  type LayerShape,
  sizeOf,
  union,
} from './extent.ts';
import { type Graph, type InputName, isInput, type Node } from './graph.ts';
import {
  type AuxiliaryName,
  type ElementwiseName,
  elementwise,
  isElementwise,
  moments,
} from './ops.ts';

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

/** A graph compiled for one shape: fp64, one buffer per node at the node's extent. */
export interface Program {
  /** One per node; overwritten by every run. */
  readonly values: readonly Float64Array[];
  run(inputs: ProgramInputs, disturb?: Disturb): void;
}

/** Called on the value of every computed node, after it is written and before it is read. */
export type Disturb = (value: Float64Array, node: number) => void;

type Step = (inputs: ProgramInputs) => void;

/** Plans every buffer and index table once; `run` then only loops. */
export function compileProgram(graph: Graph, shape: LayerShape): Program {
  const values = allocate(graph.nodes.map(({ extent }) => sizeOf(extent, shape)));
  const steps: { id: number; step: Step; computed: boolean }[] = [];
  for (const [id, node] of graph.nodes.entries()) {
    const args = node.args.map((arg) => ({
      value: values[arg]!,
      extent: graph.nodes[arg]!.extent,
    }));
    const step = compileNode(node, values[id]!, args, shape);
    if (step) steps.push({ id, step, computed: node.args.length > 0 });
  }
  return {
    values,
    run(inputs, disturb) {
      for (const { id, step, computed } of steps) {
        step(inputs);
        if (disturb && computed) disturb(values[id]!, id);
      }
    },
  };
}

/** Arrays of the given sizes out of one buffer, which costs much less than a buffer each. */
function allocate(sizes: readonly number[]): Float64Array[] {
  const buffer = new ArrayBuffer(8 * sizes.reduce((a, b) => a + b, 0));
  let at = 0;
  return sizes.map((size) => {
    const array = new Float64Array(buffer, at, size);
    at += 8 * size;
    return array;
  });
}

interface Operand {
  readonly value: Float64Array;
  readonly extent: Extent;
}

function compileNode(
  node: Node,
  out: Float64Array,
  args: readonly Operand[],
  shape: LayerShape,
): Step | null {
  const { op } = node;
  if (isInput(op)) return readInput(op, out);
  if (isElementwise(op)) return compileElementwise(op, out, node.extent, args, shape);
  const [a] = args as readonly [Operand];
  switch (node.op) {
    case 'mean':
    case 'rms':
    case 'std':
      return compileMoment(node.op, out, a, node.extent, shape);
    case 'sumTo':
      return compileSum(node.from, out, a, node.to, shape);
    case 'moving':
      return readStatistic(node, out);
    case 'const':
      out.fill(node.value);
      return null;
    case 'perElement':
      out.fill(sizeOf(node.to, shape) / sizeOf(node.from, shape));
      return null;
    default:
      throw new Error(`internal: the interpreter does not know ${op}`);
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

function readInput(op: InputName, out: Float64Array): Step | null {
  if (op === 'zero') return null;
  const start = STARTS[op];
  return (inputs) => {
    const given = inputs[op];
    if (given) copyInto(out, given, op);
    else if (start === null) throw new Error(`internal: the graph reads ${op}, which is not given`);
    else out.fill(start);
  };
}

function readStatistic(node: Extract<Node, { op: 'moving' }>, out: Float64Array): Step {
  const { fromStatistic, initialStatistic } = moments[node.moment];
  return ({ statistics }) => {
    const given = statistics?.[node.slot];
    if (given) copyInto(out, given, `statistic ${node.slot}`);
    else out.fill(initialStatistic);
    for (let i = 0; i < out.length; i++) out[i] = fromStatistic(out[i]!);
  };
}

function copyInto(out: Float64Array, given: Float64Array, name: string): void {
  if (given.length !== out.length)
    throw new Error(`internal: ${name} has ${given.length} entries, not ${out.length}`);
  out.set(given);
}

type Loop = (
  out: Float64Array,
  a: Float64Array,
  b: Float64Array,
  ia: Int32Array,
  ib: Int32Array,
) => () => void;

/** How a loop reaches its arguments: entry by entry where they have the extent of the result. */
const ACCESS = { one: 'a[i]', two: 'a[i], b[i]', gather: 'a[ia[i]], b[ib[i]]' };

const loops = new Map<string, Loop>();

/**
 * The loop of an op around the op table's own formula. Every loop is a function of its own, made from
 * text, because V8 inlines a formula only where a loop has seen no other: one loop shared by all ops
 * calls the formula for every element, which takes several times as long.
 */
function loopOf(op: ElementwiseName | AuxiliaryName, access: keyof typeof ACCESS): Loop {
  const key = `${op} ${access}`;
  let loop = loops.get(key);
  if (!loop) {
    const body = `for (let i = 0; i < out.length; i++) out[i] = formula(${ACCESS[access]});`;
    const make = new Function('formula', `return (out, a, b, ia, ib) => () => { ${body} };`);
    loop = make(elementwise[op].value) as Loop;
    loops.set(key, loop);
  }
  return loop;
}

function compileElementwise(
  op: ElementwiseName | AuxiliaryName,
  out: Float64Array,
  extent: Extent,
  [a, b = a]: readonly Operand[],
  shape: LayerShape,
): Step {
  const [first, second] = [a as Operand, b as Operand];
  const ia = projection(extent, first.extent, shape);
  const ib = projection(extent, second.extent, shape);
  const plain = first.extent === extent && second.extent === extent;
  const access = elementwise[op].arity === 1 ? 'one' : plain ? 'two' : 'gather';
  return loopOf(op, access)(out, first.value, second.value, ia, ib);
}

function compileMoment(
  op: 'mean' | 'rms' | 'std',
  out: Float64Array,
  a: Operand,
  to: Extent,
  shape: LayerShape,
): Step {
  const { value } = moments[op];
  return () => {
    const { mean, variance } = momentsOf(a.value, a.extent, to, shape);
    for (let i = 0; i < out.length; i++) out[i] = value(mean[i]!, variance[i]!);
  };
}

/**
 * Mean and biased variance of `value` over the axes that `to` lacks. Two passes; the second one also
 * takes out what rounding left of the first mean, so that a large offset costs no digits.
 */
export function momentsOf(
  value: Float64Array,
  from: Extent,
  to: Extent,
  shape: LayerShape,
): { mean: Float64Array; variance: Float64Array } {
  const index = projection(from, to, shape);
  const size = sizeOf(to, shape);
  const count = value.length / size;
  const mean = new Float64Array(size);
  for (let i = 0; i < value.length; i++) mean[index[i]!]! += value[i]!;
  for (let j = 0; j < size; j++) mean[j]! /= count;
  const residue = new Float64Array(size);
  const variance = new Float64Array(size);
  for (let i = 0; i < value.length; i++) {
    const j = index[i]!;
    const d = value[i]! - mean[j]!;
    residue[j]! += d;
    variance[j]! += d * d;
  }
  for (let j = 0; j < size; j++) {
    const r = residue[j]! / count;
    if (Number.isFinite(r)) mean[j]! += r;
    variance[j] = Math.max(variance[j]! / count - r * r, 0);
  }
  return { mean, variance };
}

function compileSum(
  from: Extent,
  out: Float64Array,
  a: Operand,
  to: Extent,
  shape: LayerShape,
): Step {
  // The argument may vary over less than `from`, or lack an axis that `to` keeps.
  const over = union(a.extent, to);
  const times = sizeOf(from, shape) / sizeOf(over, shape);
  const ia = projection(over, a.extent, shape);
  const io = projection(over, to, shape);
  return () => {
    out.fill(0);
    for (let i = 0; i < io.length; i++) out[io[i]!]! += a.value[ia[i]!]!;
    for (let i = 0; i < out.length; i++) out[i]! *= times;
  };
}

export function expandInto(
  out: Float64Array,
  value: Float64Array,
  from: Extent,
  to: Extent,
  shape: LayerShape,
): void {
  const index = projection(to, from, shape);
  for (let i = 0; i < out.length; i++) out[i] = value[index[i]!]!;
}

const tables = new WeakMap<LayerShape, Map<string, Int32Array>>();

/** For every element of extent `from`, the element of `to` ⊆ `from` that it belongs to. Kept per shape object. */
function projection(from: Extent, to: Extent, shape: LayerShape): Int32Array {
  let known = tables.get(shape);
  if (!known) {
    known = new Map();
    tables.set(shape, known);
  }
  const key = `${from}>${to}`;
  let table = known.get(key);
  if (!table) {
    table = project(from, to, shape);
    known.set(key, table);
  }
  return table;
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
