import {
  channelAxis,
  type Extent,
  hasBatch,
  hasSpace,
  type LayerShape,
  reduce,
  sizeOf,
  union,
} from '../../graph/extent.ts';
import type { Graph, InputName, Node } from '../../graph/graph.ts';
import { EPSILON, elementwise, isElementwise, type MomentName } from '../../graph/ops.ts';
import type { ELEMENTWISE_RECORDS } from './isa.ts';

export type MapCode = (typeof ELEMENTWISE_RECORDS)[number];

/** Whether a reduction starts anew with every image or runs through the whole batch. */
export type Scope = 'image' | 'batch';

/** How a moment is read off the statistics of its argument. */
export type Statistic = 'mean' | 'meanSquare' | 'variance';

/** A node of the machine's graph. Spatial nodes live in tile registers, the others in slots. */
export type MachineNode = { readonly extent: Extent } & (
  | { readonly kind: 'tensor'; readonly name: 'x' | 'dy' }
  | { readonly kind: 'parameter'; readonly name: 'v0' | 'v1' | 'gamma' | 'beta' }
  /** A moving statistic, as it is stored. */
  | { readonly kind: 'moving'; readonly slot: number }
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'map'; readonly code: MapCode; readonly args: readonly number[] }
  /** Sum, or shifted sum and sum of squares, over the pixels of the scope; one value per channel. */
  | {
      readonly kind: 'reduce';
      readonly code: 'sum' | 'stats';
      readonly args: readonly [number];
      readonly scope: Scope;
    }
  /** Ends a `stats`. `combined` consecutive channels share one result. */
  | {
      readonly kind: 'moment';
      readonly args: readonly [number];
      readonly statistic: Statistic;
      readonly combined: number;
      readonly count: number;
      readonly scope: Scope;
    }
  /** Ends a `sum`. */
  | { readonly kind: 'fold'; readonly args: readonly [number]; readonly combined: number }
);

export const argsOf = (node: MachineNode): readonly number[] => ('args' in node ? node.args : []);
export const isSpatial = (node: MachineNode): boolean => hasSpace(node.extent);

export interface MachineGraph<Output extends string> {
  readonly nodes: readonly MachineNode[];
  readonly outputs: Readonly<Record<Output, number>>;
  /** Where each moment of the source graph over the batch went: the node of its raw statistic. */
  readonly batchStatistics: readonly number[];
}

const STATISTIC: Record<MomentName, Statistic> = {
  mean: 'mean',
  rms: 'meanSquare',
  std: 'variance',
};

/** Translates a forward or training graph for layers of one shape. */
export function lower<Output extends string>(
  graph: Graph<Output>,
  shape: LayerShape,
): MachineGraph<Output> {
  const lowering = new Lowering(shape);
  const places: number[] = [];
  for (const node of graph.nodes)
    places.push(
      lowering.translate(
        node,
        node.args.map((a) => places[a]!),
      ),
    );
  const names = Object.keys(graph.outputs) as Output[];
  const outputs = Object.fromEntries(names.map((name) => [name, places[graph.outputs[name]]!]));
  return {
    nodes: lowering.nodes,
    outputs: outputs as Record<Output, number>,
    batchStatistics: lowering.batchStatistics,
  };
}

interface Term {
  readonly node: number;
  readonly negative: boolean;
}

/** Longer sums are left alone. */
const MOST_TERMS = 8;

/** Builds a machine graph bottom up, sharing equal nodes and moving signs, constants and divisors out of the way. */
class Lowering {
  readonly nodes: MachineNode[] = [];
  readonly batchStatistics: number[] = [];
  readonly #shape: LayerShape;
  readonly #index = new Map<string, number>();

  constructor(shape: LayerShape) {
    this.#shape = shape;
  }

  translate(node: Node, args: readonly number[]): number {
    switch (node.op) {
      case 'zero':
        return this.constant(0);
      case 'const':
        return this.constant(node.value);
      case 'perElement':
        return this.constant(sizeOf(node.to, this.#shape) / sizeOf(node.from, this.#shape));
      case 'moving':
        return this.#fromStatistic(
          node.moment,
          this.#intern({ kind: 'moving', slot: node.slot, extent: node.extent }),
        );
      case 'mean':
      case 'rms':
      case 'std':
        return this.#moment(node, args[0]!);
      case 'sumTo':
        return this.sumTo(args[0]!, node.from, node.to);
      default:
        return isElementwise(node.op) ? this.map(node.op, args) : this.#input(node.op);
    }
  }

  constant(value: number): number {
    return this.#intern({ kind: 'constant', value, extent: '' });
  }

  /** An element-wise node. The rewrites are exact but for rounding (a divisor without space becomes a factor). */
  map(code: MapCode, args: readonly number[]): number {
    const [a, b] = args as [number, number];
    const folded = this.#foldConstants(code, args);
    if (folded !== undefined) return this.constant(folded);
    switch (code) {
      case 'neg':
        return this.#negated(a) ?? this.#put('neg', [a]);
      case 'mul':
        return this.#product(a, b);
      case 'div': {
        if (!this.#spatial(b)) return this.#product(a, this.map('reciprocal', [b]));
        const positive = this.#negated(a);
        if (positive !== undefined) return this.map('neg', [this.map('div', [positive, b])]);
        const factor = this.#slotFactor(a);
        if (factor) return this.#product(factor.slot, this.map('div', [factor.rest, b]));
        return this.#put('div', [a, b]);
      }
      case 'clear':
        return this.#lowerBound(a) >= EPSILON ? this.constant(1) : this.#put('clear', [a]);
      case 'add':
        return this.#sum(a, b);
      default:
        return this.#put(code, args);
    }
  }

  /** Σ over the axes of `from` that `to` lacks; the axes over which `a` is constant count by their size. */
  sumTo(a: number, from: Extent, to: Extent): number {
    const scope: Scope = hasBatch(to) ? 'image' : 'batch';
    const { batch, height, width, channels, groups } = this.#shape;
    const combined = to.includes('c') ? 1 : to.includes('g') ? channels / groups : channels;
    if (this.#spatial(a)) return this.#spatialSum(a, scope, combined, to);
    let scale = hasSpace(from) ? height * width : 1;
    // A slot repeats the value of a group for each of its channels, which `from` may not count.
    if (combined > 1 && channelAxis(from) !== 'c')
      scale /= channelAxis(from) === 'g' ? channels / groups : channels;
    const overBatch = hasBatch(from) && !hasBatch(to);
    if (overBatch && !hasBatch(this.#extent(a))) scale *= batch;
    const nothingToSum = combined === 1 && !(overBatch && hasBatch(this.#extent(a)));
    return this.#scaled(nothingToSum ? a : this.#fold(a, scope, combined, to), scale);
  }

  #spatialSum(a: number, scope: Scope, combined: number, to: Extent): number {
    const positive = this.#negated(a);
    if (positive !== undefined)
      return this.map('neg', [this.#spatialSum(positive, scope, combined, to)]);
    // A factor without space leaves the sum over space.
    const parts = this.#rectified(a);
    if (parts) {
      const [sum, rest] = parts.map((part) => this.#spatialSum(part, scope, combined, to));
      return this.#sum(sum!, rest!);
    }
    const factor = this.#slotFactor(a);
    if (!factor) return this.#fold(a, scope, combined, to);
    const perChannel = hasBatch(this.#extent(factor.slot)) || combined > 1;
    const inner: Extent = perChannel ? 'bc' : to;
    const sum = this.#spatialSum(factor.rest, hasBatch(inner) ? 'image' : scope, 1, inner);
    const product = this.map('mul', [sum, factor.slot]);
    return inner === to ? product : this.sumTo(product, 'bc', to);
  }

  /**
   * The gradient of γ in γ·max(t + s, 0) + β, where s has no space: g·max(t + s, 0) = h·t + h·s with
   * h = g·step(t + s, 0), which the gradients of t and s want anyway. Not where t + s is −∞.
   */
  #rectified(a: number): [number, number] | undefined {
    if (!this.#isProduct(a)) return undefined;
    const [p, q] = argsOf(this.nodes[a]!) as [number, number];
    for (const [g, max] of [
      [p, q],
      [q, p],
    ] as const) {
      const node = this.nodes[max]!;
      if (node.kind !== 'map' || node.code !== 'max') continue;
      const [x, y] = node.args as [number, number];
      const [argument, zero] = this.#isConstant(x, 0) ? [y, x] : [x, y];
      const sum = this.nodes[argument]!;
      if (!this.#isConstant(zero, 0) || sum.kind !== 'map' || sum.code !== 'add') continue;
      const [t, s] = this.#spatial(sum.args[0]!) ? sum.args : [sum.args[1]!, sum.args[0]!];
      if (!this.#spatial(t!) || this.#spatial(s!)) continue;
      const gated = this.#product(g, this.map('step', [argument, zero]));
      return [this.#product(gated, t!), this.#product(gated, s!)];
    }
    return undefined;
  }

  #fold(a: number, scope: Scope, combined: number, extent: Extent): number {
    const sum = this.#intern({
      kind: 'reduce',
      code: 'sum',
      args: [a],
      scope,
      extent: scope === 'image' && hasBatch(this.#extent(a)) ? 'bc' : 'c',
    });
    return this.#intern({ kind: 'fold', args: [sum], combined, extent });
  }

  #moment(node: Extract<Node, { op: MomentName }>, a: number): number {
    const { height, width, channels, groups } = this.#shape;
    const overBatch = node.index === 'bwh' && hasBatch(this.#extent(a));
    const scope: Scope = overBatch ? 'batch' : 'image';
    const combined =
      node.index === 'whc' ? channels : node.index === 'whc/g' ? channels / groups : 1;
    const stats = this.#intern({
      kind: 'reduce',
      code: 'stats',
      args: [a],
      scope,
      extent: union(reduce(this.#extent(a), node.index), 'c'),
    });
    const raw = this.#intern({
      kind: 'moment',
      args: [stats],
      statistic: STATISTIC[node.op],
      combined,
      count: this.#spatial(a) ? height * width : 1,
      scope,
      extent: node.extent,
    });
    if (overBatch) this.batchStatistics.push(raw);
    return this.#fromStatistic(node.op, raw);
  }

  #fromStatistic(op: MomentName, raw: number): number {
    return op === 'mean' ? raw : this.map('rootEps', [raw]);
  }

  #input(name: InputName): number {
    if (name === 'x' || name === 'dy') return this.#intern({ kind: 'tensor', name, extent: 'bsc' });
    if (name === 'zero') return this.constant(0);
    return this.#intern({ kind: 'parameter', name, extent: 'c' });
  }

  #product(a: number, b: number): number {
    if (this.#isConstant(a, 1)) return b;
    if (this.#isConstant(b, 1)) return a;
    for (const [p, q] of [
      [a, b],
      [b, a],
    ] as const) {
      const positive = this.#negated(p);
      if (positive !== undefined) return this.map('neg', [this.#product(positive, q)]);
      if (this.#isConstant(p, -1)) return this.map('neg', [q]);
    }
    return this.#product2(a, b);
  }

  /** Factors without space meet each other before they meet the tensor: (t·s)·u = (t·u)·s. */
  #product2(a: number, b: number): number {
    for (const [p, q] of [
      [a, b],
      [b, a],
    ] as const) {
      const factor = this.#slotFactor(p);
      if (!factor) continue;
      return this.#spatial(q)
        ? this.#product(factor.slot, this.#product(factor.rest, q))
        : this.#put('mul', [factor.rest, this.#product(factor.slot, q)]);
    }
    return a === b ? this.#put('square', [a]) : this.#put('mul', a < b ? [a, b] : [b, a]);
  }

  /** The two sides of a spatial product one of whose factors has no space. */
  #slotFactor(a: number): { slot: number; rest: number } | undefined {
    const node = this.nodes[a]!;
    if (node.kind !== 'map' || node.code !== 'mul' || !isSpatial(node)) return undefined;
    const [p, q] = node.args as [number, number];
    if (!this.#spatial(p)) return { slot: p, rest: q };
    return this.#spatial(q) ? undefined : { slot: q, rest: p };
  }

  /** A number that the node's values are never below (NaN aside). */
  #lowerBound(a: number): number {
    const node = this.nodes[a]!;
    if (node.kind === 'constant') return node.value;
    if (node.kind !== 'map') return Number.NEGATIVE_INFINITY;
    const [p, q] = node.args as [number, number];
    switch (node.code) {
      case 'rootEps':
        return Math.sqrt(EPSILON);
      case 'abs':
      case 'square':
      case 'sigmoid':
      case 'exp':
        return 0;
      case 'max':
        return Math.max(this.#lowerBound(p), this.#lowerBound(q));
      case 'add':
        return this.#lowerBound(p) + this.#lowerBound(q);
      default:
        return Number.NEGATIVE_INFINITY;
    }
  }

  #sum(a: number, b: number): number {
    if (this.#isConstant(a, 0)) return b;
    if (this.#isConstant(b, 0)) return a;
    const [na, nb] = [this.#negated(a), this.#negated(b)];
    if (na !== undefined && nb !== undefined) return this.map('neg', [this.#sum(na, nb)]);
    if (nb !== undefined) return this.#joined('sub', a, nb) ?? this.#put('sub', [a, nb]);
    const merged = this.#mergedAffine(a, b);
    if (merged !== undefined) return merged;
    if (na !== undefined) return this.#put('sub', [b, na]);
    const joined = this.#joined('add', a, b) ?? this.#joined('add', b, a);
    return joined ?? this.#put('add', a < b ? [a, b] : [b, a]);
  }

  /** A value without space joins a product, which it then costs no record of its own: (p ± q) + s = (p + s) ± q. */
  #joined(code: 'add' | 'sub', a: number, slot: number): number | undefined {
    const node = this.nodes[a]!;
    if (this.#spatial(slot) || node.kind !== 'map' || !isSpatial(node)) return undefined;
    const [p, q] = node.args as [number, number];
    const isSum = node.code === 'add' || node.code === 'sub';
    if (!isSum || !this.#isProduct(p) || !this.#isProduct(q)) return undefined;
    return this.#put(node.code, [this.#put(code, [p, slot]), q]);
  }

  #isProduct(a: number): boolean {
    const node = this.nodes[a]!;
    return node.kind === 'map' && node.code === 'mul' && isSpatial(node);
  }

  /**
   * Gradients of moments are β·(t − m) with slots β and m. Two of the same t become one:
   * β·(t − m) + δ·(t − n) = (β + δ)·(t − m) + δ·(m − n).
   */
  #mergedAffine(a: number, b: number): number | undefined {
    const [left, right] = [this.#terms(a), this.#terms(b)];
    const tensorsOf = (terms: readonly Term[]) =>
      new Set(terms.flatMap((term) => this.#affine(term)?.tensor ?? []));
    const tensors = tensorsOf(left);
    const tensor = [...tensorsOf(right)].find((t) => tensors.has(t));
    const terms = [...left, ...right];
    if (tensor === undefined || terms.length > MOST_TERMS) return undefined;
    const parts = terms.map((term) => ({ term, affine: this.#affine(term) }));
    const equal = parts.flatMap(({ affine }) => (affine?.tensor === tensor ? [affine] : []));
    const rest = parts.flatMap(({ term, affine }) => (affine?.tensor === tensor ? [] : [term]));
    const origin = equal.find(({ shift }) => shift !== undefined)?.shift;
    let slope = this.constant(0);
    let slots = this.constant(0);
    for (const { factor, shift } of equal) {
      slope = this.#sum(slope, factor);
      if (origin === undefined || shift === origin) continue;
      const distance = shift === undefined ? origin : this.#difference(origin, shift);
      slots = this.#sum(slots, this.#product(factor, distance));
    }
    for (const term of rest)
      if (!this.#spatial(term.node)) slots = this.#sum(slots, this.#signed(term));
    let sum = slots;
    for (const term of rest) if (this.#spatial(term.node)) sum = this.#sum(sum, this.#signed(term));
    const moved = origin === undefined ? tensor : this.#difference(tensor, origin);
    return this.#sum(sum, this.#product(slope, moved));
  }

  /** The terms of a sum over space; what is no such sum is its own term. */
  #terms(a: number, negative = false): Term[] {
    const node = this.nodes[a]!;
    if (node.kind !== 'map' || !isSpatial(node)) return [{ node: a, negative }];
    const [p, q] = node.args as [number, number];
    if (node.code === 'neg') return this.#terms(p, !negative);
    if (node.code === 'add') return [...this.#terms(p, negative), ...this.#terms(q, negative)];
    if (node.code === 'sub') return [...this.#terms(p, negative), ...this.#terms(q, !negative)];
    return [{ node: a, negative }];
  }

  /** A term as factor·(tensor − shift), of which the tensor alone has space. */
  #affine({ node, negative }: Term) {
    const product = this.#slotFactor(node);
    if (!product) return undefined;
    const factor = negative ? this.map('neg', [product.slot]) : product.slot;
    const rest = this.nodes[product.rest]!;
    const [tensor, shift] = argsOf(rest) as [number, number];
    if (
      rest.kind === 'map' &&
      rest.code === 'sub' &&
      this.#spatial(tensor) &&
      !this.#spatial(shift)
    )
      return { factor, tensor, shift };
    return { factor, tensor: product.rest, shift: undefined };
  }

  #difference = (a: number, b: number): number => this.#sum(a, this.map('neg', [b]));
  #signed = ({ node, negative }: Term): number => (negative ? this.map('neg', [node]) : node);

  #scaled(a: number, factor: number): number {
    return this.map('mul', [a, this.constant(factor)]);
  }

  #foldConstants(code: MapCode, args: readonly number[]): number | undefined {
    if (!isElementwise(code)) return undefined;
    const values: number[] = [];
    for (const arg of args) {
      const node = this.nodes[arg]!;
      if (node.kind !== 'constant') return undefined;
      values.push(node.value);
    }
    return elementwise[code].value(values[0]!, values[1]!);
  }

  /** The argument of a negation. */
  #negated(a: number): number | undefined {
    const node = this.nodes[a]!;
    return node.kind === 'map' && node.code === 'neg' ? node.args[0] : undefined;
  }

  #isConstant(a: number, value: number): boolean {
    const node = this.nodes[a]!;
    return node.kind === 'constant' && node.value === value;
  }

  #spatial = (a: number): boolean => isSpatial(this.nodes[a]!);
  #extent = (a: number): Extent => this.nodes[a]!.extent;

  #put(code: MapCode, args: readonly number[]): number {
    const [a, b, c] = args as readonly [number, number?, number?];
    // All of a map but its extent, which follows.
    const key = `${code} ${a} ${b} ${c}`;
    const known = this.#index.get(key);
    if (known !== undefined) return known;
    const extent = args.map((arg) => this.#extent(arg)).reduce(union);
    return this.#add(key, { kind: 'map', code, args, extent });
  }

  #intern(node: Exclude<MachineNode, { kind: 'map' }>): number {
    const key = keyOf(node);
    return this.#index.get(key) ?? this.#add(key, node);
  }

  #add(key: string, node: MachineNode): number {
    const id = this.nodes.push(node) - 1;
    this.#index.set(key, id);
    return id;
  }
}

/** The same for equal nodes alone. */
const keyOf = (node: Exclude<MachineNode, { kind: 'map' }>): string =>
  node.kind === 'reduce'
    ? `${node.code} of ${node.args.join()} ${node.scope} ${node.extent}`
    : Object.values(node).join(' ');
