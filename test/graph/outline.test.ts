import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { randomStream } from '../../src/eval/random.ts';
import { layerOf } from '../../src/graph/genome.ts';
import { genomeChanges, graphDifference, outline, treeOf } from '../../src/graph/outline.ts';
import { simplify } from '../../src/graph/simplify.ts';
import { parseLayer } from '../../src/graph/text.ts';
import { mutate } from '../../src/search/space.ts';
import { genomes } from './arbitrary.ts';

const layer = (formula: string) => simplify(parseLayer(formula));

describe('a layer as a tree', () => {
  test('writes a shared node once, with a mark', () => {
    expect(treeOf(layer('tanh(x * v1) / max(tanh(x * v1), 0)'))).toMatchInlineSnapshot(`
      [
        "div",
        "├─ tanh #3",
        "│  └─ mul",
        "│     ├─ v1",
        "│     └─ x",
        "└─ max",
        "   ├─ #3 again",
        "   └─ 0",
      ]
    `);
  });

  test('has a line for every use of a node, but for what hangs below repeated ones', () => {
    fc.assert(
      fc.property(genomes(), (genome) => {
        const graph = layerOf(genome);
        const lines = treeOf(graph);
        const nodes = outline(graph);
        expect(lines.filter((line) => !line.endsWith(' again')).length).toBeGreaterThanOrEqual(
          nodes.length,
        );
        // Ops are written out once each; inputs, and marks, wherever they are used.
        const uses = nodes.reduce((sum, node) => sum + node.uses, 0);
        expect(lines).toHaveLength(uses);
      }),
    );
  });
});

describe('the difference of two layers', () => {
  test('is none between spellings of one graph', () => {
    const { onlyFirst, onlySecond } = graphDifference(layer('x * v1 + v0'), layer('v0 + v1 * x'));
    expect([onlyFirst, onlySecond]).toEqual([[], []]);
  });

  test('names the nodes that only one has', () => {
    const [a, b] = [layer('sigmoid(x) * v1'), layer('tanh(sigmoid(x))')];
    const { shared, onlyFirst, onlySecond } = graphDifference(a, b);
    expect(shared).toBe(1);
    expect(onlyFirst.map((id) => a.nodes[id]!.op)).toEqual(['mul']);
    expect(onlySecond.map((id) => b.nodes[id]!.op)).toEqual(['tanh']);
  });

  test('is the same from both sides, and every op is shared or not', () => {
    fc.assert(
      fc.property(genomes(), genomes(), (first, second) => {
        const [a, b] = [layerOf(first), layerOf(second)];
        const [there, back] = [graphDifference(a, b), graphDifference(b, a)];
        expect(there.onlyFirst).toEqual(back.onlySecond);
        expect(there.shared + there.onlyFirst.length).toBe(
          a.nodes.filter(({ args }) => args.length > 0).length,
        );
        expect(graphDifference(a, a)).toMatchObject({ onlyFirst: [], onlySecond: [] });
      }),
    );
  });
});

test('a mutation changes one node at most, and the change tells it', () => {
  const space = { genomeNodes: 10, primitiveWeights: {} };
  fc.assert(
    fc.property(genomes({ minNodes: 10 }), fc.nat(), (genome, seed) => {
      const child = mutate(genome, space, randomStream('mutation', seed));
      const changes = genomeChanges(genome, child)!;
      const differing = child.nodes.flatMap((node, k) =>
        JSON.stringify(node) === JSON.stringify(genome.nodes[k]) ? [] : [4 + k],
      );
      expect(changes.map(({ node }) => node)).toEqual(differing);
      expect(changes.length).toBeLessThanOrEqual(1);
      for (const { before, after } of changes) expect(before).not.toBe(after);
    }),
  );
  expect(genomeChanges({ nodes: [] }, { nodes: [{ op: 'tanh', args: [0] }] })).toBeNull();
});
