import { INDEX_SETS } from './extent.ts';
import { GraphBuilder, type LayerGraph, type Node, type Value } from './graph.ts';
import { elementwise, isElementwise, OP_NAMES } from './ops.ts';

/**
 * One order for sums, products and the arguments of max, and one numbering, whatever the spelling:
 *
 * - sums: (a + b + …) − (c + d + …), larger terms first;
 * - products: v · x · … / p / q, smaller factors first, every repeated factor squared, divisions last;
 * - nodes are numbered in the order in which the output's arguments need them.
 *
 * Only terms that nothing else uses are merged into a chain, so the graph never grows. Assumes that
 * nothing overflows or underflows on the way: (a · b) · c and a · (b · c) then differ by rounding
 * alone. NaN and infinite inputs give what they gave. Chains of max keep their association: at an
 * exact tie of three, max(max(a, b), c) and max(a, max(b, c)) share the gradient out differently.
 */
export function canonical(layer: LayerGraph): LayerGraph {
  const chains = new Chains(layer);
  return renumber(chains.builder.build({ out: chains.value(layer.outputs.out) }));
}

class Chains {
  readonly builder = new GraphBuilder();
  readonly #nodes: readonly Node[];
  readonly #absorbed: ReadonlySet<number>;
  readonly #order: Order;
  readonly #values: (Value | undefined)[] = [];

  constructor(layer: LayerGraph) {
    this.#nodes = layer.nodes;
    this.#absorbed = absorbed(layer.nodes);
    this.#order = new Order(this.builder);
    for (const [id, node] of layer.nodes.entries())
      this.#values.push(this.#absorbed.has(id) ? undefined : this.#rebuild(node));
  }

  value(id: number): Value {
    return this.#values[id] as Value;
  }

  #rebuild(node: Node): Value {
    switch (node.op) {
      case 'add':
        return this.#sum(node);
      case 'mul':
      case 'div':
        return this.#product(node);
      default: {
        const args = node.args.map((id) => this.value(id));
        if (isElementwise(node.op) && elementwise[node.op].commutative)
          args.sort((a, b) => this.#order.compare(b.id, a.id));
        return this.builder.copy(node, args);
      }
    }
  }

  #sum(root: Node): Value {
    const plus: Value[] = [];
    const minus: Value[] = [];
    const gather = (id: number, negative: boolean) => {
      const node = this.#nodes[id] as Node;
      const inside = this.#absorbed.has(id);
      if (node.op === 'neg') gather(node.args[0] as number, !negative);
      else if (inside) for (const arg of node.args) gather(arg, negative);
      else (negative ? minus : plus).push(this.value(id));
    };
    for (const arg of root.args) gather(arg, false);
    const [positive, negative] = [this.#fold(plus), this.#fold(minus)];
    if (!negative) return positive as Value;
    return positive ? positive.add(negative.neg()) : negative.neg();
  }

  /** The sum of `terms`, larger ones first. */
  #fold(terms: Value[]): Value | undefined {
    if (terms.length === 0) return undefined;
    return this.#sorted(terms)
      .reverse()
      .reduce((sum, term) => sum.add(term));
  }

  #product(root: Node): Value {
    const factors: Value[] = [];
    const denominators: Value[] = [];
    const gather = (node: Node) => {
      for (const [i, id] of node.args.entries())
        if (node.op === 'div' && i === 1) denominators.push(this.value(id));
        else if (this.#absorbed.has(id)) gather(this.#nodes[id] as Node);
        else factors.push(this.value(id));
    };
    gather(root);
    const product = this.#sorted(this.#squared(factors)).reduce((a, b) => a.mul(b));
    return this.#sorted(denominators).reduce((a, b) => a.div(b), product);
  }

  /** Replaces equal pairs by squares until all factors differ. */
  #squared(factors: readonly Value[]): Value[] {
    const once = new Map<number, Value>();
    const pending = [...factors];
    for (let factor = pending.pop(); factor; factor = pending.pop()) {
      if (once.delete(factor.id)) pending.push(factor.square());
      else once.set(factor.id, factor);
    }
    return [...once.values()];
  }

  #sorted(values: Value[]): Value[] {
    return values.sort((a, b) => this.#order.compare(a.id, b.id));
  }
}

/** The nodes that only one sum or product uses and that become part of it, with the negations between sums. */
function absorbed(nodes: readonly Node[]): Set<number> {
  const uses = nodes.map(() => 0);
  for (const node of nodes) for (const arg of node.args) uses[arg]!++;
  const inside = new Set<number>();
  const take = (id: number, ops: readonly Node['op'][]): boolean => {
    const { op, args } = nodes[id] as Node;
    const taken =
      uses[id] === 1 &&
      (ops.includes(op) || (op === 'neg' && ops === SUM && take(args[0] as number, SUM)));
    if (taken) inside.add(id);
    return taken;
  };
  for (const { op, args } of nodes) {
    if (op === 'add') for (const arg of args) take(arg, SUM);
    if (op === 'mul' || op === 'div') take(args[0] as number, PRODUCT);
    if (op === 'mul') take(args[1] as number, PRODUCT);
  }
  return inside;
}

const SUM: readonly Node['op'][] = ['add'];
const PRODUCT: readonly Node['op'][] = ['mul', 'div'];

const RANK: Readonly<Record<string, number>> = Object.fromEntries(
  ['zero', 'v0', 'v1', 'x', ...OP_NAMES].map((op, i) => [op, i]),
);

/** A total order of the nodes of a builder that depends on what they compute alone: small expressions first. */
class Order {
  readonly #builder: GraphBuilder;
  readonly #sizes: number[] = [];

  constructor(builder: GraphBuilder) {
    this.#builder = builder;
  }

  /** Equal nodes are shared, so two different ids differ somewhere below, and the first difference decides. */
  compare(a: number, b: number): number {
    if (a === b) return 0;
    const [p, q] = [this.#node(a), this.#node(b)];
    const [m, n] = [this.#size(a), this.#size(b)];
    if (m !== n) return m < n ? -1 : 1;
    const rank = RANK[p.op]! - RANK[q.op]! || indexRank(p) - indexRank(q);
    if (rank !== 0) return rank;
    for (const [i, arg] of p.args.entries()) {
      const order = this.compare(arg, q.args[i] as number);
      if (order !== 0) return order;
    }
    return 0;
  }

  #node(id: number): Node {
    return this.#builder.nodes[id] as Node;
  }

  /** Nodes of the expression as a tree; those of constants weigh next to nothing, so that 1 is less than x. */
  #size(id: number): number {
    const sizes = this.#sizes;
    for (let next = sizes.length; next <= id; next++) {
      const { op, args } = this.#node(next);
      const constant = op === 'zero' || (args.length > 0 && args.every((arg) => sizes[arg]! < 1));
      sizes.push(args.reduce((sum, arg) => sum + sizes[arg]!, constant ? 1 / 1024 : 1));
    }
    return sizes[id]!;
  }
}

const indexRank = (node: Node) => ('index' in node ? INDEX_SETS.indexOf(node.index) : 0);

/** The same graph, its nodes in the order in which a walk from the output, arguments first, leaves them. */
function renumber(layer: LayerGraph): LayerGraph {
  const builder = new GraphBuilder();
  const values = new Map<number, Value>();
  const stack = [layer.outputs.out];
  for (let id = stack.at(-1); id !== undefined; id = stack.at(-1)) {
    const node = layer.nodes[id] as Node;
    const missing = node.args.filter((arg) => !values.has(arg));
    if (missing.length > 0) {
      stack.push(...missing.reverse());
      continue;
    }
    stack.pop();
    if (!values.has(id))
      values.set(
        id,
        builder.copy(
          node,
          node.args.map((arg) => values.get(arg) as Value),
        ),
      );
  }
  return builder.build({ out: values.get(layer.outputs.out) as Value });
}
