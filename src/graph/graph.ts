import { CHANNEL, type Extent, FULL, type IndexSet, reduce, SCALAR, union } from './extent.ts';
import { type AuxiliaryName, type ElementwiseName, elementwise, type MomentName } from './ops.ts';

/**
 * Leaves of a graph. `zero`, `v0`, `v1` and `x` are the initial nodes of a genome; `gamma` and `beta`
 * are the affine that every layer ends with; `dy` is the gradient of the loss with respect to the
 * layer's output.
 */
export const INPUT_EXTENTS = {
  x: FULL,
  zero: SCALAR,
  v0: CHANNEL,
  v1: CHANNEL,
  gamma: CHANNEL,
  beta: CHANNEL,
  dy: FULL,
} as const satisfies Record<string, Extent>;

export type InputName = keyof typeof INPUT_EXTENTS;

/** One node. `args` are indices of earlier nodes; `extent` is derived, never chosen. */
export type Node = { readonly extent: Extent } & (
  | { readonly op: InputName; readonly args: readonly [] }
  | { readonly op: ElementwiseName | AuxiliaryName; readonly args: readonly number[] }
  | { readonly op: MomentName; readonly args: readonly [number]; readonly index: IndexSet }
  /** A number of the adjoint graph; genomes have no constants but zero. */
  | { readonly op: 'const'; readonly args: readonly []; readonly value: number }
  /**
   * The sum of a value over the axes that extent `from` has and `to` has not, where the value itself
   * may vary over less than `from` (it then counts once per element of `from`).
   */
  | {
      readonly op: 'sumTo';
      readonly args: readonly [number];
      readonly from: Extent;
      readonly to: Extent;
    }
  /** 1 / (elements of extent `from` behind one element of extent `to`). */
  | {
      readonly op: 'perElement';
      readonly args: readonly [];
      readonly from: Extent;
      readonly to: Extent;
    }
  /** A `bwh` moment at inference, made of moving statistics: the mean, √(mean square + ε) or √(variance + ε). */
  | {
      readonly op: 'moving';
      readonly args: readonly [];
      readonly moment: MomentName;
      /** Position among the layer's moving statistics. */
      readonly slot: number;
    }
);

export type Op = Node['op'];

/** A topologically sorted graph whose outputs have names. Equal nodes are shared. */
export interface Graph<Output extends string = string> {
  readonly nodes: readonly Node[];
  readonly outputs: Readonly<Record<Output, number>>;
}

/** What a genome computes: one output, made of `x`, `zero`, `v0`, `v1` and the genome's ops alone. */
export type LayerGraph = Graph<'out'>;

/** Builds graphs bottom up; asking twice for the same node gives the same index (common subexpressions are shared). */
export class GraphBuilder {
  readonly nodes: Node[] = [];
  readonly #values: Value[] = [];
  readonly #leaves = new Map<string, Value>();
  /** Nodes by the greatest of their arguments: the last one that has it, and the one before each; −1 ends. */
  readonly #last: number[] = [];
  readonly #previous: number[] = [];

  input(name: InputName): Value {
    return (
      this.#leaves.get(name) ??
      this.#leaf(name, { op: name, args: [], extent: INPUT_EXTENTS[name] })
    );
  }

  const(value: number): Value {
    const key = `const ${Object.is(value, -0) ? '-0' : value}`;
    return (
      this.#leaves.get(key) ?? this.#leaf(key, { op: 'const', args: [], value, extent: SCALAR })
    );
  }

  elementwise(op: ElementwiseName | AuxiliaryName, ...args: readonly Value[]): Value {
    const { arity } = elementwise[op];
    if (args.length !== arity)
      throw new Error(`internal: ${op} takes ${arity} arguments, not ${args.length}`);
    const [a, b] = args as readonly [Value, Value?];
    const greatest = b && b.id > a.id ? b.id : a.id;
    for (let id = this.#last[greatest]!; id >= 0; id = this.#previous[id]!) {
      const { op: other, args: ids } = this.nodes[id]!;
      if (other === op && ids[0] === a.id && (!b || ids[1] === b.id)) return this.at(id);
    }
    const extent = b ? union(a.extent, b.extent) : a.extent;
    return this.#append({ op, args: b ? [a.id, b.id] : [a.id], extent }, greatest);
  }

  moment(op: MomentName, index: IndexSet, a: Value): Value {
    for (let id = this.#last[a.id]!; id >= 0; id = this.#previous[id]!) {
      const node = this.nodes[id]!;
      if (node.op === op && 'index' in node && node.index === index) return this.at(id);
    }
    return this.#append({ op, index, args: [a.id], extent: reduce(a.extent, index) }, a.id);
  }

  sumTo(a: Value, from: Extent, to: Extent): Value {
    if (from === to) return a;
    for (let id = this.#last[a.id]!; id >= 0; id = this.#previous[id]!) {
      const node = this.nodes[id]!;
      if (node.op === 'sumTo' && node.from === from && node.to === to) return this.at(id);
    }
    return this.#append({ op: 'sumTo', args: [a.id], from, to, extent: to }, a.id);
  }

  perElement(from: Extent, to: Extent): Value {
    if (from === to) return this.const(1);
    const key = `perElement ${from} ${to}`;
    return (
      this.#leaves.get(key) ??
      this.#leaf(key, { op: 'perElement', args: [], from, to, extent: SCALAR })
    );
  }

  moving(moment: MomentName, slot: number, extent: Extent): Value {
    const key = `moving ${moment} ${slot}`;
    return (
      this.#leaves.get(key) ?? this.#leaf(key, { op: 'moving', args: [], moment, slot, extent })
    );
  }

  /** Copies `node` of another graph, whose arguments are already here as `args`. */
  copy(node: Node, args: readonly Value[]): Value {
    switch (node.op) {
      case 'mean':
      case 'rms':
      case 'std':
        return this.moment(node.op, node.index, args[0] as Value);
      case 'const':
        return this.const(node.value);
      case 'sumTo':
        return this.sumTo(args[0] as Value, node.from, node.to);
      case 'perElement':
        return this.perElement(node.from, node.to);
      case 'moving':
        return this.moving(node.moment, node.slot, node.extent);
      default:
        return isInput(node.op) ? this.input(node.op) : this.elementwise(node.op, ...args);
    }
  }

  /** The graph of the named outputs, with every node that none of them needs left out. */
  build<Output extends string>(outputs: Readonly<Record<Output, Value>>): Graph<Output> {
    const names = Object.keys(outputs) as Output[];
    const live = liveNodes(
      this.nodes,
      names.map((name) => outputs[name].id),
    );
    const position = new Int32Array(this.nodes.length);
    const nodes = live.map((id, at) => {
      position[id] = at;
      const node = this.nodes[id]!;
      // Where nothing below was left out, the node is what it was.
      if (node.args.every((arg) => position[arg] === arg)) return node;
      return { ...node, args: node.args.map((arg) => position[arg]!) } as unknown as Node;
    });
    const entries = names.map((name) => [name, position[outputs[name].id]]);
    return { nodes, outputs: Object.fromEntries(entries) as Record<Output, number> };
  }

  /** The node of that number. */
  at(id: number): Value {
    return this.#values[id] as Value;
  }

  #leaf(key: string, node: Node): Value {
    const value = this.#append(node, -1);
    this.#leaves.set(key, value);
    return value;
  }

  #append(node: Node, greatest: number): Value {
    const id = this.nodes.push(node) - 1;
    this.#last.push(-1);
    this.#previous.push(greatest < 0 ? -1 : this.#last[greatest]!);
    if (greatest >= 0) this.#last[greatest] = id;
    const value = new Value(this, id);
    this.#values.push(value);
    return value;
  }
}

/** A node of a builder, with arithmetic. */
export class Value {
  readonly builder: GraphBuilder;
  readonly id: number;

  constructor(builder: GraphBuilder, id: number) {
    this.builder = builder;
    this.id = id;
  }

  get extent(): Extent {
    return (this.builder.nodes[this.id] as Node).extent;
  }

  add(b: Value): Value {
    return this.builder.elementwise('add', this, b);
  }
  sub(b: Value): Value {
    return this.add(b.neg());
  }
  mul(b: Value): Value {
    return this.builder.elementwise('mul', this, b);
  }
  div(b: Value): Value {
    return this.builder.elementwise('div', this, b);
  }
  neg(): Value {
    return this.builder.elementwise('neg', this);
  }
  square(): Value {
    return this.builder.elementwise('square', this);
  }
  abs(): Value {
    return this.builder.elementwise('abs', this);
  }
  /** −1, 0 or 1. */
  sign(): Value {
    return this.builder.elementwise('sign', this);
  }
  /** 1 where this is greater than `b`, ½ at a tie, 0 elsewhere. */
  step(b: Value): Value {
    return this.builder.elementwise('step', this, b);
  }
  /** 1 where |this| ≥ ε, 0 elsewhere. */
  clear(): Value {
    return this.builder.elementwise('clear', this);
  }
  plus(value: number): Value {
    return this.add(this.builder.const(value));
  }
  times(value: number): Value {
    return this.mul(this.builder.const(value));
  }
}

export const isInput = (op: Op): op is InputName => Object.hasOwn(INPUT_EXTENTS, op);

/** The nodes that `roots` need, themselves included, in ascending order. */
function liveNodes(nodes: readonly Node[], roots: readonly number[]): number[] {
  const live = new Uint8Array(nodes.length);
  for (const root of roots) live[root] = 1;
  const found: number[] = [];
  for (let id = nodes.length - 1; id >= 0; id--) {
    if (live[id] === 0) continue;
    found.push(id);
    for (const arg of nodes[id]!.args) live[arg] = 1;
  }
  return found.reverse();
}

/** Rebuilds `graph` in `builder`, node by node, through `copy`; returns where each node went. */
export function transplant(
  graph: Graph,
  builder: GraphBuilder,
  copy: (node: Node, args: readonly Value[]) => Value = (node, args) => builder.copy(node, args),
): Value[] {
  const values: Value[] = [];
  for (const node of graph.nodes)
    values.push(
      copy(
        node,
        node.args.map((id) => values[id] as Value),
      ),
    );
  return values;
}
