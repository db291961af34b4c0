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
  spell: (p: Value, q: Value) => Value,
): Value | undefined =>
  value && node(value).op === op ? spell(arg(value, 0), arg(value, 1)) : undefined;
const max = (p: Value, q: Value) => p.builder.elementwise('max', p, q);
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

/** Other ways to write what a node computes, by its op. All hold at zeros, and at ties of two. */
const SPELLINGS: Readonly<Record<string, readonly Spelling[]>> = {
  add: [
    ([a, b]) => b!.add(a!),
    ([a, b]) => a!.neg().add(b!.neg()).neg(),
    ([a, b]) => where(a, 'add', (p, q) => p.add(q.add(b!))),
  ],
  mul: [
    ([a, b]) => b!.mul(a!),
    ([a, b]) => a!.neg().mul(b!.neg()),
    ([a, b]) => where(a, 'mul', (p, q) => q.mul(b!).mul(p)),
    ([a, b]) => where(b, 'add', (p, q) => a!.mul(p).add(a!.mul(q))),
    ([a, b]) => where(b, 'div', (p, q) => a!.mul(p).div(q)),
  ],
  div: [
    ([a, b]) => a!.neg().div(b!).neg(),
    ([a, b]) => where(a, 'add', (p, q) => p.div(b!).add(q.div(b!))),
  ],
  max: [([a, b]) => max(b!, a!), ([a, b]) => where(b, 'max', (p, q) => max(max(a!, p), q))],
  neg: [([a]) => a!.neg().neg().neg(), ([a]) => where(a, 'add', (p, q) => p.neg().sub(q))],
  square: [
    ([a]) => a!.mul(a!),
    ([a]) => a!.neg().square(),
    ([a]) =>
      where(a, 'add', (p, q) =>
        p
          .square()
          .add(p.mul(q).add(q.mul(p)))
          .add(q.square()),
      ),
  ],
  abs: [([a]) => max(a!, a!.neg()), ([a]) => a!.neg().abs()],
  tanh: [([a]) => a!.builder.elementwise('tanh', a!.neg()).neg()],
  mean: [
    ([a], plain) =>
      splits(plain, a!) ? where(a, 'add', (p, q) => mean(plain, p).add(mean(plain, q))) : undefined,
  ],
  std: [([a], plain) => a!.builder.moment('std', indexOf(plain), a!.sub(mean(plain, a!)))],
};

/** The same function, commuted, re-associated, distributed and with signs moved about at random. */
export function respell(layer: LayerGraph, choose: Choose): LayerGraph {
  const builder = new GraphBuilder();
  const values = transplant(layer, builder, (original, args) => {
    const plain = builder.copy(original, args);
    const spellings = SPELLINGS[original.op] ?? [];
    const pick = choose(2) === 0 ? undefined : spellings[choose(spellings.length)];
    return pick?.(args, plain) ?? plain;
  });
  return builder.build({ out: values[layer.outputs.out]! });
}
