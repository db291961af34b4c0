import { canonical } from './canonical.ts';
import { type Extent, type IndexSet, reduce } from './extent.ts';
import { GraphBuilder, type LayerGraph, type Node, transplant, type Value } from './graph.ts';
import {
  ELEMENTWISE_NAMES,
  elementwise,
  isElementwise,
  isMoment,
  MOMENT_NAMES,
  type MomentName,
  OP_NAMES,
} from './ops.ts';

/**
 * A rewrite of one node whose arguments are rewritten already. For every input, NaN and infinities
 * included, values and gradients stay what they were, up to rounding and the sign of zeros; `assumes`
 * says why where that is not plain, and where it does not hold.
 */
export interface Rule {
  /** The algebra. */
  readonly name: string;
  /** The ops of the nodes that it may rewrite. */
  readonly ops: readonly Node['op'][];
  readonly assumes?: string;
  readonly rewrite: (
    node: Node,
    args: readonly Value[],
    builder: GraphBuilder,
  ) => Value | undefined;
}

const nodeOf = (value: Value): Node => value.builder.nodes[value.id] as Node;
const argOf = (value: Value, i = 0): Value => value.builder.at(nodeOf(value).args[i] as number);
const is = (value: Value, op: Node['op']): boolean => nodeOf(value).op === op;
const same = (a: Value, b: Value): boolean => a.id === b.id;
const isZero = (value: Value): boolean => is(value, 'zero');
const isOne = (value: Value): boolean => is(value, 'exp') && isZero(argOf(value));

/** Ops whose value is never negative and whose derivative is 0 wherever the value is 0 (or underflows). */
const NON_NEGATIVE: readonly Node['op'][] = ['square', 'abs', 'exp', 'sigmoid', 'rms', 'std'];
const isNonNegative = (value: Value): boolean =>
  NON_NEGATIVE.includes(nodeOf(value).op) || (is(value, 'sqrt') && isNonNegative(argOf(value)));

const unary = (
  name: string,
  ops: readonly Node['op'][],
  rewrite: (a: Value, node: Node) => Value | undefined,
  assumes?: string,
): Rule => ({
  name,
  ops,
  ...(assumes === undefined ? {} : { assumes }),
  rewrite: (node, args) => (ops.includes(node.op) ? rewrite(args[0] as Value, node) : undefined),
});

/** Tries both orders of the arguments where the op commutes. */
const binary = (
  name: string,
  op: 'add' | 'mul' | 'div' | 'max',
  rewrite: (a: Value, b: Value) => Value | undefined,
  assumes?: string,
): Rule => ({
  name,
  ops: [op],
  ...(assumes === undefined ? {} : { assumes }),
  rewrite: (node, args) => {
    if (node.op !== op) return undefined;
    const [a, b] = args as readonly [Value, Value];
    return rewrite(a, b) ?? (elementwise[op].commutative ? rewrite(b, a) : undefined);
  },
});

const moment = (
  name: string,
  rewrite: (a: Value, op: MomentName, index: IndexSet) => Value | undefined,
): Rule => ({
  name,
  ops: MOMENT_NAMES,
  rewrite: (node, args) =>
    isMoment(node.op) && 'index' in node
      ? rewrite(args[0] as Value, node.op, node.index)
      : undefined,
});

/** `a` less its own mean over `index`: returns `a`. */
function centred(value: Value, index: IndexSet): Value | undefined {
  if (!is(value, 'add')) return undefined;
  const [first, second] = [argOf(value, 0), argOf(value, 1)];
  for (const [a, b] of [
    [first, second],
    [second, first],
  ] as const) {
    if (!is(b, 'neg') || !is(argOf(b), 'mean')) continue;
    const mean = argOf(b);
    const over = nodeOf(mean);
    if ('index' in over && over.index === index && same(argOf(mean), a)) return a;
  }
  return undefined;
}

/** For values that vary over few axes several index sets mean the same; the first that fits is used. */
const PREFERENCE: readonly IndexSet[] = ['wh', 'whc/g', 'whc', 'bwh'];
const plainest = (extent: Extent, index: IndexSet): IndexSet =>
  PREFERENCE.find((other) => reduce(extent, other) === reduce(extent, index)) as IndexSet;

const MAX_STOPS_NAN = 'where a is NaN so is the value either way, but max lets no gradient through';

const ODD: readonly Node['op'][] = ['tanh', 'log', 'sqrt', 'mean'];

/** The local rules, tried in this order until none fits. */
export const RULES: readonly Rule[] = [
  unary('-(-a) = a', ['neg'], (a) => (is(a, 'neg') ? argOf(a) : undefined)),
  unary('f(-a) = -f(a) for odd f: tanh, log, sqrt, mean', ODD, (a, node) =>
    is(a, 'neg') ? like(node, argOf(a)).neg() : undefined,
  ),
  unary(
    'f(-a) = f(a) for even f: abs, square, rms, std',
    ['abs', 'square', 'rms', 'std'],
    (a, node) => (is(a, 'neg') ? like(node, argOf(a)) : undefined),
  ),
  unary('f(|a|) = f(a): square, rms', ['square', 'rms'], (a, node) =>
    is(a, 'abs') ? like(node, argOf(a)) : undefined,
  ),
  unary(
    '|a| = a for a ≥ 0 by its form',
    ['abs'],
    (a) => (isNonNegative(a) ? a : undefined),
    'where a is 0, its own derivative is 0 too, as that of |a|; see NON_NEGATIVE',
  ),
  binary('a + 0 = a', 'add', (a, b) => (isZero(b) ? a : undefined)),
  binary('-a + -b = -(a + b)', 'add', (a, b) =>
    is(a, 'neg') && is(b, 'neg') ? argOf(a).add(argOf(b)).neg() : undefined,
  ),
  unary('-(a - b) = b - a', ['neg'], (a) => {
    if (!is(a, 'add')) return undefined;
    const [first, second] = [argOf(a, 0), argOf(a, 1)];
    if (is(second, 'neg')) return argOf(second).add(first.neg());
    return is(first, 'neg') ? argOf(first).add(second.neg()) : undefined;
  }),
  binary('a · 1 = a', 'mul', (a, b) => (isOne(b) ? a : undefined)),
  binary('a · a = a²', 'mul', (a, b) => (same(a, b) ? a.square() : undefined)),
  binary('a · -b = -(a · b)', 'mul', (a, b) => (is(b, 'neg') ? a.mul(argOf(b)).neg() : undefined)),
  binary('a / 1 = a', 'div', (a, b) => (isOne(b) ? a : undefined)),
  binary('-a / b = -(a / b)', 'div', (a, b) => (is(a, 'neg') ? argOf(a).div(b).neg() : undefined)),
  binary(
    'a / -b = -(a / b) for b a rms or std',
    'div',
    (a, b) =>
      is(b, 'neg') && (is(argOf(b), 'rms') || is(argOf(b), 'std'))
        ? a.div(argOf(b)).neg()
        : undefined,
    'only where b cannot be 0: the guarded denominator of both 0 and -0 is +ε',
  ),
  binary('max(a, a) = a', 'max', (a, b) => (same(a, b) ? a : undefined), MAX_STOPS_NAN),
  binary(
    'max(a, -a) = |a|',
    'max',
    (a, b) => (is(b, 'neg') && same(argOf(b), a) ? a.abs() : undefined),
    MAX_STOPS_NAN,
  ),
  binary(
    'max(a, 0) = a for a ≥ 0 by its form',
    'max',
    (a, b) => (isZero(b) && isNonNegative(a) ? a : undefined),
    `as for |a|; ${MAX_STOPS_NAN}`,
  ),
  moment('mean[I](a) = a where a does not vary over I', (a, op, index) =>
    op === 'mean' && reduce(a.extent, index) === a.extent ? a : undefined,
  ),
  moment('f[I](a) = f[J](a) where I and J take the same axes off a', (a, op, index) =>
    plainest(a.extent, index) === index
      ? undefined
      : a.builder.moment(op, plainest(a.extent, index), a),
  ),
  moment('mean[I](mean[J](a)) = mean[I](a) where I covers J', (a, op, index) => {
    if (op !== 'mean' || !is(a, 'mean')) return undefined;
    const inner = argOf(a);
    const covers = reduce(a.extent, index) === reduce(inner.extent, index);
    return covers ? a.builder.moment('mean', index, inner) : undefined;
  }),
  moment('std[I](a - mean[I](a)) = std[I](a)', (a, op, index) => {
    const inner = op === 'std' ? centred(a, index) : undefined;
    return inner && a.builder.moment('std', index, inner);
  }),
  moment('rms[I](a - mean[I](a)) = std[I](a)', (a, op, index) => {
    const inner = op === 'rms' ? centred(a, index) : undefined;
    return inner && a.builder.moment('std', index, inner);
  }),
  {
    name: 'f(0, 1, …) = 0 or 1 where that is its value',
    ops: ELEMENTWISE_NAMES,
    rewrite: (node, args, builder) => {
      if (!isElementwise(node.op) || (node.op === 'exp' && isZero(args[0] as Value)))
        return undefined;
      const operands = args.map(constantValue);
      if (operands.includes(undefined)) return undefined;
      const value = elementwise[node.op].value(operands[0] as number, operands[1] as number);
      const zero = builder.input('zero');
      return value === 0 ? zero : value === 1 ? builder.elementwise('exp', zero) : undefined;
    },
  },
];

const RULES_OF: ReadonlyMap<Node['op'], readonly Rule[]> = new Map(
  OP_NAMES.map((op) => [op, RULES.filter(({ ops }) => ops.includes(op))]),
);

const constantValue = (value: Value): number | undefined =>
  isZero(value) ? 0 : isOne(value) ? 1 : undefined;

/** The op of `node` on another argument. */
const like = (node: Node, a: Value): Value => a.builder.copy(node, [a]);

/**
 * The canonical form of `layer`: no rule applies, sums and products are in one order, equal nodes are
 * shared, nodes are numbered from the output down. A layer simplified twice is the same graph.
 */
export function simplify(layer: LayerGraph): LayerGraph {
  let graph = layer;
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    if (settled.has(graph)) return graph;
    const next = canonical(applyRules(graph));
    if (equal(next, graph)) settled.add(next);
    graph = next;
  }
  throw new Error('internal: simplification does not come to rest');
}

/** Results, so that simplifying one again costs nothing. */
const settled = new WeakSet<LayerGraph>();

/** A formula of a few dozen nodes comes to rest within four passes; thousands mean a cycle of rules. */
const MAX_PASSES = 5000;

function applyRules(layer: LayerGraph): LayerGraph {
  const builder = new GraphBuilder();
  const values = transplant(layer, builder, (node, args) => rewritten(builder.copy(node, args)));
  return builder.build({ out: values[layer.outputs.out] as Value });
}

/** Applies rules to the node of `value` until none fits. Nodes that rules make below it wait for the next pass. */
function rewritten(value: Value): Value {
  const node = nodeOf(value);
  const rules = RULES_OF.get(node.op);
  if (!rules) return value;
  const args = node.args.map((id) => value.builder.at(id));
  for (const { rewrite } of rules) {
    const next = rewrite(node, args, value.builder);
    if (next) return rewritten(next);
  }
  return value;
}

function equal(a: LayerGraph, b: LayerGraph): boolean {
  const { nodes } = a;
  return (
    nodes.length === b.nodes.length &&
    nodes.every((node, id) => {
      const other = b.nodes[id] as Node;
      return (
        node.op === other.op &&
        node.args.every((arg, i) => arg === other.args[i]) &&
        ('index' in node ? node.index : null) === ('index' in other ? other.index : null)
      );
    })
  );
}
