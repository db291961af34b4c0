import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import {
  type Genome,
  genomeOf,
  isBatchIndependent,
  layerOf,
  liveGraph,
  parseGenome,
  verify,
  verifyGenome,
} from '../../src/graph/genome.ts';
import type { Graph } from '../../src/graph/graph.ts';
import { formatLayer, parseLayer } from '../../src/graph/text.ts';
import { genomes } from './arbitrary.ts';

describe('well-formed genomes', () => {
  test('survive JSON, and their graphs verify', () => {
    fc.assert(
      fc.property(genomes(), (genome) => {
        verifyGenome(genome);
        expect(parseGenome(JSON.parse(JSON.stringify(genome)))).toEqual(genome);
        verify(liveGraph(genome));
        verify(layerOf(genome));
      }),
    );
  });

  test('can be made of any layer', () => {
    fc.assert(
      fc.property(genomes(), (genome) => {
        const again = genomeOf(layerOf(genome));
        verifyGenome(again);
        expect(layerOf(again)).toEqual(layerOf(genome));
      }),
    );
  });

  test('keep dead nodes out of the live graph', () => {
    const genome: Genome = {
      nodes: [
        { op: 'mean', args: [0], index: 'bwh' },
        { op: 'tanh', args: [0] },
        { op: 'div', args: [4, 5] },
        { op: 'mul', args: [5, 3] },
      ],
    };
    expect(formatLayer(liveGraph(genome))).toBe('tanh(x) * v1');
    expect(isBatchIndependent(liveGraph(genome))).toBe(true);
  });
});

describe('untrusted genomes are refused with the node and its fault', () => {
  const complaint = (json: unknown): string => {
    try {
      parseGenome(json);
      return 'accepted';
    } catch (error) {
      expect(error).toBeInstanceOf(UserError);
      return (error as UserError).message;
    }
  };
  const nodes = (...list: unknown[]) => complaint({ nodes: list });
  const good = { op: 'tanh', args: [0] };

  test.each([
    [null, 'genome is null; it must be {"nodes": [{"op", "args"}, …]}.'],
    [[], 'genome is a list; it must be {"nodes": [{"op", "args"}, …]}.'],
    ['x', 'genome is "x"; it must be {"nodes": [{"op", "args"}, …]}.'],
    [
      Object.create({ nodes: [good] }),
      'genome is an object; it must be {"nodes": [{"op", "args"}, …]}.',
    ],
    [{ nodes: [] }, 'genome.nodes has 0 entries; it must have 1 to 1000.'],
    [{ nodes: new Array(1_000_000) }, 'genome.nodes has 1000000 entries; it must have 1 to 1000.'],
  ])('%#', (json, message) => {
    expect(complaint(json)).toBe(message);
  });

  test('nodes', () => {
    expect(nodes(good, 7)).toBe('genome.nodes[1] is 7; it must be {"op", "args"}.');
    expect(nodes(...new Array(2))).toBe('genome.nodes[0] is missing; it must be {"op", "args"}.');
    expect(nodes({ ...good, weight: 1 })).toBe(
      'genome.nodes[0] has the key "weight"; it must have op, args, index.',
    );
  });

  test.each(['erf', 'sign', 'const', 'x', 'constructor', '__proto__', 'toString', '', 3, null])(
    'op %j',
    (op) => {
      expect(nodes({ op, args: [0] })).toMatch(
        /^genome\.nodes\[0\]\.op is .*; it must be one of add, mul, div, /,
      );
    },
  );

  test('an op that only a prototype has', () => {
    expect(nodes(Object.create(good))).toMatch('genome.nodes[0].op is missing; it must be one of');
    expect(nodes(JSON.parse('{"__proto__": {"op": "tanh"}, "args": [0]}'))).toBe(
      'genome.nodes[0] has the key "__proto__"; it must have op, args, index.',
    );
  });

  test('args', () => {
    expect(nodes({ op: 'add', args: [0] })).toBe(
      'genome.nodes[0].args has 1; it must have 2 nodes, for add takes so many.',
    );
    expect(nodes({ op: 'tanh' })).toBe(
      'genome.nodes[0].args is missing; it must be a list of 1 node, for tanh takes so many.',
    );
    const args = (...list: unknown[]) => nodes(good, { op: 'add', args: list });
    const right = 'it must be the number of an earlier node, 0 to 4, for nodes[1] is node 5.';
    expect(args(0, 5)).toBe(`genome.nodes[1].args[1] is 5; ${right}`);
    expect(args(0, 6)).toBe(`genome.nodes[1].args[1] is 6; ${right}`);
    expect(args(-1, 0)).toBe(`genome.nodes[1].args[0] is -1; ${right}`);
    expect(args(0.5, 0)).toBe(`genome.nodes[1].args[0] is 0.5; ${right}`);
    expect(args(Number.NaN, 0)).toBe(`genome.nodes[1].args[0] is NaN; ${right}`);
    expect(args('0', 0)).toBe(`genome.nodes[1].args[0] is "0"; ${right}`);
    expect(args(...new Array(2))).toBe(`genome.nodes[1].args[0] is missing; ${right}`);
  });

  test('index sets', () => {
    const choices = 'it must be one of bwh, whc, wh, whc/g.';
    expect(nodes({ op: 'std', args: [0] })).toBe(`genome.nodes[0].index is missing; ${choices}`);
    expect(nodes({ op: 'std', args: [0], index: 'hw' })).toBe(
      `genome.nodes[0].index is "hw"; ${choices}`,
    );
    expect(nodes({ op: 'tanh', args: [0], index: 'wh' })).toBe(
      'genome.nodes[0].index is "wh"; it must be left out, for tanh takes none.',
    );
  });

  test('long values are cut', () => {
    expect(nodes({ op: 'a'.repeat(1e6), args: [0] }).length).toBeLessThan(200);
  });

  test('anything at all is refused by a UserError', () => {
    fc.assert(fc.property(fc.anything(), (json) => void complaint(json)));
    fc.assert(
      fc.property(fc.array(fc.anything(), { minLength: 1 }), (list) => void nodes(...list)),
    );
  });
});

describe('verify', () => {
  const layer = parseLayer('x * std[wh](x)');
  const change = (id: number, changes: object): Graph => ({
    nodes: layer.nodes.map((node, i) => (i === id ? ({ ...node, ...changes } as never) : node)),
    outputs: layer.outputs,
  });

  test.each([
    ['a forward reference', change(1, { args: [2] }), 'internal: node 1 (std) has the arg 2'],
    ['a wrong arity', change(2, { args: [0] }), 'internal: node 2 (mul) has 1 args, not 2'],
    ['a wrong extent', change(1, { extent: 'b' }), 'has extent "b", not "bc"'],
    ['a node twice', { ...layer, nodes: [...layer.nodes, layer.nodes[1]!] }, 'stands twice'],
    ['a missing output', { ...layer, outputs: { out: 3 } }, 'internal: output out is node 3'],
  ])('finds %s', (_name, graph, message) => {
    expect(() => verify(graph)).toThrow(message);
  });

  test('accepts the graph itself', () => {
    verify(layer);
  });
});

test.each([
  ['x / std[bwh](x)', false],
  ['x / std[whc/g](x)', true],
  ['x + mean[bwh](v1)', true],
  ['x + mean[bwh](mean[wh](x))', false],
  ['x + std[bwh](mean[bwh](x)) * 1', false],
  ['max(mean[bwh](0), x)', true],
])('batch independence of %s is %s', (formula, independent) => {
  expect(isBatchIndependent(parseLayer(formula))).toBe(independent);
});
