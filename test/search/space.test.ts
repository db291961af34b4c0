import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { randomStream } from '../../src/eval/random.ts';
import { INDEX_SETS } from '../../src/graph/extent.ts';
import {
  type Genome,
  type GenomeNode,
  INITIAL_NODES,
  liveGraph,
  verify,
  verifyGenome,
} from '../../src/graph/genome.ts';
import { ELEMENTWISE_NAMES, MOMENT_NAMES } from '../../src/graph/ops.ts';
import { mutate, PRIMITIVES, randomGenome } from '../../src/search/space.ts';

const space = { genomeNodes: 10, primitiveWeights: {} };
const seeds = fc.integer({ min: 0, max: 2 ** 31 });
const genomes = (count: number, make = space) =>
  Array.from({ length: count }, (_, i) => randomGenome(make, randomStream('space', i)));

const primitiveOf = ({ op, index }: GenomeNode) => (index ? `${op}[${index}]` : op);

/** Every (primitive, predecessors) that may stand at node `id`, as text. */
const legalNodes = (id: number): Set<string> => {
  const earlier = Array.from({ length: id }, (_, i) => i);
  return new Set(
    PRIMITIVES.flatMap(({ name, arity }) =>
      arity === 1
        ? earlier.map((a) => `${name} ${a}`)
        : earlier.flatMap((a) => earlier.map((b) => `${name} ${a},${b}`)),
    ),
  );
};

const textOf = (node: GenomeNode) => `${primitiveOf(node)} ${node.args}`;

/** χ² of counts against equal shares. */
const chiSquared = (counts: readonly number[]): number => {
  const expected = counts.reduce((a, b) => a + b, 0) / counts.length;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
};

const countBy = <T>(values: readonly T[], keys: readonly T[]) =>
  keys.map((key) => values.filter((value) => value === key).length);

describe('the primitives', () => {
  test('are the 24 of the paper', () => {
    expect(PRIMITIVES).toHaveLength(
      ELEMENTWISE_NAMES.length + MOMENT_NAMES.length * INDEX_SETS.length,
    );
    expect(new Set(PRIMITIVES.map(({ name }) => name)).size).toBe(24);
  });

  test('are drawn uniformly, and their predecessors too', () => {
    const nodes = genomes(2000).flatMap((genome) => genome.nodes);
    const counts = countBy(
      nodes.map(primitiveOf),
      PRIMITIVES.map(({ name }) => name),
    );
    // 23 degrees of freedom: beyond 49.7 with probability 0.001.
    expect(chiSquared(counts)).toBeLessThan(49.7);
    const last = genomes(2000).flatMap((genome) => genome.nodes.at(-1)?.args ?? []);
    // 12 degrees of freedom: beyond 32.9 with probability 0.001.
    expect(chiSquared(countBy(last, [...Array(13).keys()]))).toBeLessThan(32.9);
  });

  test('of weight 0 are never drawn, others by their weight', () => {
    const names = PRIMITIVES.map(({ name }) => name);
    const primitiveWeights = Object.fromEntries(names.map((name) => [name, 0]));
    const weighted = {
      genomeNodes: 10,
      primitiveWeights: { ...primitiveWeights, add: 1, 'rms[wh]': 3 },
    };
    const drawn = genomes(400, weighted).flatMap(({ nodes }) => nodes.map(primitiveOf));
    expect(new Set(drawn)).toEqual(new Set(['add', 'rms[wh]']));
    expect(countBy(drawn, ['rms[wh]'])[0]).toBeGreaterThan(2850);
    expect(countBy(drawn, ['rms[wh]'])[0]).toBeLessThan(3150);
  });
});

describe('random genomes and mutations', () => {
  test('are well formed', () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 1, max: 30 }), (seed, genomeNodes) => {
        const rng = randomStream('walk', seed);
        let genome = randomGenome({ ...space, genomeNodes }, rng);
        for (let step = 0; step < 20; step++) {
          expect(genome.nodes).toHaveLength(genomeNodes);
          verifyGenome(genome);
          verify(liveGraph(genome));
          genome = mutate(genome, space, rng);
        }
      }),
    );
  });

  test('change at most one node', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const rng = randomStream('one', seed);
        const parent = randomGenome(space, rng);
        const child = mutate(parent, space, rng);
        const changed = parent.nodes.filter((node, i) => textOf(node) !== textOf(child.nodes[i]!));
        expect(changed.length).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('reach every primitive, index set and predecessor at every node, and nothing else', () => {
    const parent: Genome = {
      nodes: [
        { op: 'add', args: [0, 1] },
        { op: 'neg', args: [4] },
      ],
    };
    const rng = randomStream('support', 0);
    const reached = parent.nodes.map(() => new Set<string>());
    for (let i = 0; i < 40_000; i++)
      mutate(parent, { ...space, genomeNodes: 2 }, rng).nodes.forEach((node, k) => {
        if (node !== parent.nodes[k]) reached[k]?.add(textOf(node));
      });
    for (const [k, texts] of reached.entries())
      expect(texts).toEqual(legalNodes(INITIAL_NODES.length + k));
  });

  test('choose every node as often', () => {
    const rng = randomStream('which', 0);
    const parent = randomGenome(space, rng);
    const chosen = Array.from({ length: 5000 }, () => {
      const child = mutate(parent, space, rng);
      return child.nodes.findIndex((node, i) => node !== parent.nodes[i]);
    });
    // 9 degrees of freedom: beyond 27.9 with probability 0.001.
    expect(chiSquared(countBy(chosen, [...Array(10).keys()]))).toBeLessThan(27.9);
  });
});
