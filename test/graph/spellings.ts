import type { IndexSet } from '../../src/graph/extent.ts';
import { GraphBuilder, type LayerGraph, transplant, type Value } from '../../src/graph/graph.ts';

/** Returns a number from 0 to n − 1. */
export type Choose = (n: number) => number;

type Spelling = (args: readonly Value[], plain: Value) => Value | undefined;

const node = (value: Value) => value.builder.nodes[value.id]!;
const arg = (value: Value, i: number) => value.builder.at(node(value).args[i]!);

/** A spelling for nodes whose argument `value` is of that op, made of its two arguments. */
const where = (
  value: Value | undefined,
  op: 'add' | 'mul' | 'div' | 'max',
  spell: (p: Value, q: Value) => Value | undefined,
): Value | undefined =>
  value && node(value).op === op ? spell(arg(value, 0), arg(value, 1)) : undefined;
const max = (p: Value, q: Value) => p.builder.elementwise('max', p, q);

/**
 * max(max(a, p), q) for max(a, max(p, q)). Not where p is a or q: at a tie of a and p, max(a, max(p, p)) gives
 * a half of the gradient, and max(max(a, p), p) a quarter.
 */
const bracketed = (a: Value, p: Value, q: Value) =>
  p.id === a.id || p.id === q.id ? undefined : max(max(a, p), q);
const indexOf = (value: Value): IndexSet => (node(value) as { index: IndexSet }).index;
const mean = (like: Value, a: Value) => a.builder.moment('mean', indexOf(like), a);

/**
 * Whether the mean of a sum is the sum of the means at inference too: a term that does not vary over the
 * batch has no moving average there, but is made of those of other moments, and so is not the same.
 */
function splits(like: Value, a: Value): boolean {
  if (indexOf(like) !== 'bwh' || node(a).op !== 'add') return true;
  return [arg(a, 0), arg(a, 1)].every((term) => term.extent.includes('b'));
}

/** The kinds of rewriting, of single nodes and their arguments. */
export const KINDS = [
  'commuted',
  're-associated',
  'distributed',
  'double negation',
  'signs moved',
  'a · a for a²',
  'max(a, a)',
  'by hand',
] as const;
export type Kind = (typeof KINDS)[number];

/** Other ways to write what a node computes, by its op. All hold at zeros, and at ties of two. */
const SPELLINGS: Readonly<Record<string, readonly (readonly [Kind, Spelling])[]>> = {
  add: [
    ['commuted', ([a, b]) => b!.add(a!)],
    ['signs moved', ([a, b]) => a!.neg().add(b!.neg()).neg()],
    ['re-associated', ([a, b]) => where(a, 'add', (p, q) => p.add(q.add(b!)))],
  ],
  mul: [
    ['commuted', ([a, b]) => b!.mul(a!)],
    ['signs moved', ([a, b]) => a!.neg().mul(b!.neg())],
    ['re-associated', ([a, b]) => where(a, 'mul', (p, q) => q.mul(b!).mul(p))],
    ['distributed', ([a, b]) => where(b, 'add', (p, q) => a!.mul(p).add(a!.mul(q)))],
    ['re-associated', ([a, b]) => where(b, 'div', (p, q) => a!.mul(p).div(q))],
  ],
  div: [
    ['signs moved', ([a, b]) => a!.neg().div(b!).neg()],
    ['distributed', ([a, b]) => where(a, 'add', (p, q) => p.div(b!).add(q.div(b!)))],
  ],
  max: [
    ['commuted', ([a, b]) => max(b!, a!)],
    ['re-associated', ([a, b]) => where(b, 'max', (p, q) => bracketed(a!, p, q))],
  ],
  neg: [
    ['double negation', ([a]) => a!.neg().neg().neg()],
    ['signs moved', ([a]) => where(a, 'add', (p, q) => p.neg().sub(q))],
  ],
  square: [
    ['a · a for a²', ([a]) => a!.mul(a!)],
    ['signs moved', ([a]) => a!.neg().square()],
    [
      'distributed',
      ([a]) =>
        where(a, 'add', (p, q) =>
          p
            .square()
            .add(p.mul(q).add(q.mul(p)))
            .add(q.square()),
        ),
    ],
  ],
  abs: [
    ['by hand', ([a]) => max(a!, a!.neg())],
    ['signs moved', ([a]) => a!.neg().abs()],
  ],
  tanh: [['signs moved', ([a]) => a!.builder.elementwise('tanh', a!.neg()).neg()]],
  mean: [
    [
      'distributed',
      ([a], plain) =>
        splits(plain, a!)
          ? where(a, 'add', (p, q) => mean(plain, p).add(mean(plain, q)))
          : undefined,
    ],
  ],
  std: [
    ['by hand', ([a], plain) => a!.builder.moment('std', indexOf(plain), a!.sub(mean(plain, a!)))],
  ],
};

/** Ways to write any value. */
const ANYWHERE: Readonly<Partial<Record<Kind, Spelling>>> = {
  'double negation': (_args, plain) => plain.neg().neg(),
  'max(a, a)': (_args, plain) => max(plain, plain),
};

/** The same function, commuted, re-associated, distributed and with signs moved about at random. */
export const respell = (layer: LayerGraph, choose: Choose): LayerGraph =>
  rebuild(layer, (op) => {
    const spellings = SPELLINGS[op] ?? [];
    return choose(2) === 0 ? undefined : spellings[choose(spellings.length)]?.[1];
  });

/** The same function, rewritten in one way at random places: at every second one that allows it. */
export const respellAs = (layer: LayerGraph, kind: Kind, choose: Choose): LayerGraph =>
  rebuild(layer, (op) => {
    const own = (SPELLINGS[op] ?? []).filter(([of]) => of === kind).map(([, spell]) => spell);
    const anywhere = ANYWHERE[kind];
    const spellings = anywhere ? [...own, anywhere] : own;
    return choose(2) === 0 ? undefined : spellings[choose(spellings.length)];
  });

function rebuild(layer: LayerGraph, pick: (op: string) => Spelling | undefined): LayerGraph {
  const builder = new GraphBuilder();
  const values = transplant(layer, builder, (original, args) => {
    const plain = builder.copy(original, args);
    return pick(original.op)?.(args, plain) ?? plain;
  });
  return builder.build({ out: values[layer.outputs.out]! });
}
