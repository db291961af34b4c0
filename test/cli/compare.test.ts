import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { openStore } from '../../db/store.ts';
import { type Genome, genomeOf, layerOf } from '../../src/graph/genome.ts';
import { probe } from '../../src/graph/keys.ts';
import { formatLayer, parseLayer } from '../../src/graph/text.ts';
import { evaluated, settled, TIME } from '../db/records.ts';
import { inProcess, temporaryFolder } from './process.ts';

const genome = (formula: string): Genome => genomeOf(parseLayer(formula));

function keyOf(of: Genome): string {
  const probed = probe(layerOf(of));
  if (probed.verdict !== 'ok') throw new Error('expected a key');
  return probed.functionalKey;
}

const [TANH, SIGMOID, SCALED] = [genome('tanh(x)'), genome('sigmoid(x)'), genome('tanh(x * v1)')];
const HOSTILE = 'BN\u001b[2J\n=1+1';

const scored = (index: number, of: Genome, accuracies: readonly [number, number]) =>
  settled(index, { genome: of, functionalKey: keyOf(of), outcome: evaluated(...accuracies) });

/** Run 1 and 2 under one protocol, run 3 under another one; tanh and sigmoid have three evaluations each. */
function filled(): string {
  const path = join(temporaryFolder(), 'x.db');
  const store = openStore(path);
  const begin = (protocolKey: string) =>
    store.begin({ started: TIME.at, config: {}, protocolKey, protocol: {} });
  const origin = { kind: 'baseline', name: HOSTILE } as const;
  const first = begin('aaaa');
  store.commit(
    first,
    [
      { ...scored(-1, genome('max(x, 0)'), [0.8, 0.8]), origin },
      scored(0, TANH, [0.6, 0.7]),
      { ...scored(1, SIGMOID, [0.5, 0.6]), origin: { kind: 'mutation', parent: 0 } },
      {
        ...scored(2, SCALED, [0.9, 0.9]),
        origin: { kind: 'mutation', parent: 1 },
      },
    ],
    TIME,
  );
  for (const [of, base] of [
    [TANH, 0.61],
    [SIGMOID, 0.5],
  ] as const)
    for (const repeat of [1, 2])
      store.saveEvaluation({
        ...{ protocolKey: 'aaaa', functionalKey: keyOf(of), repeat, at: TIME.at, seconds: 1 },
        outcome: evaluated(base + repeat / 100, base + 0.1),
      });
  store.commit(begin('aaaa'), [scored(0, genome('neg(x)'), [0.1, 0.1])], TIME);
  store.commit(begin('bbbb'), [scored(0, TANH, [1, 1])], TIME);
  store.close();
  return path;
}

const ask = async (...args: string[]) => {
  const { code, stdout, stderr } = await inProcess([...args, '--db', filled(), '--json']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
};

describe('show', () => {
  test('tells the lineage from the first ancestor, with the mutations on the way', async () => {
    const { lineage, candidate } = await ask('show', 'r1-2');
    expect(candidate).toMatchObject({ id: 'r1-2', parent: 'r1-1', origin: 'mutation' });
    expect(lineage).toMatchObject([
      { id: 'r1-0', formula: 'tanh(x)', changes: null, origin: 'random' },
      {
        id: 'r1-1',
        formula: 'sigmoid(x)',
        changes: [{ node: 4, before: 'tanh(x)', after: 'sigmoid(x)' }],
        changesLayer: true,
      },
      { id: 'r1-2', changes: null, formula: formatLayer(layerOf(SCALED)) },
    ]);
  });

  test('tells every evaluation, and where the layer stands under each protocol', async () => {
    const { evaluations, scores } = await ask('show', 'tanh(x)');
    expect(
      evaluations.map(({ protocol, repeat, madeFor }: Record<string, unknown>) => [
        ...[protocol, repeat, madeFor],
      ]),
    ).toEqual([
      ['aaaa', 0, 'r1-0'],
      ['aaaa', 1, 'r1-0'],
      ['aaaa', 2, 'r1-0'],
      ['bbbb', 0, 'r3-0'],
    ]);
    expect(scores).toMatchObject([
      { protocol: 'aaaa', rank: 3, of: 5, evaluations: 3, baselines: [{ rank: 2 }] },
      { protocol: 'bbbb', rank: 1, of: 1, evaluations: 1, baselines: [], fitness: { mean: 1 } },
    ]);
  });

  test('obeys no name from the database', async () => {
    const { stdout } = await inProcess(['show', 'r1-0', '--db', filled()]);
    expect(stdout).not.toContain('\u001b');
    expect(stdout).toContain('BN\ufffd[2J\ufffd=1+1');
    for (const flags of [[], ['--csv'], ['--md'], ['--json']]) {
      const args = ['leaderboard', '--protocol', 'aaaa', '--db', filled(), ...flags];
      const board = await inProcess(args);
      expect(board).toMatchObject({ code: 0 });
      expect(board.stdout).not.toContain('\u001b');
    }
  });
});

test('a genome that is none is an error, not a bug', async () => {
  const path = filled();
  const db = new Database(path);
  db.exec(`UPDATE candidates SET genome = '{"nodes":[{"op":"evil","args":[0]}]}'`);
  db.close();
  for (const args of [['show', 'r1-0'], ['compare', 'r1-0', 'DyT'], ['leaderboard']]) {
    const { code, stderr, stdout } = await inProcess([...args, '--db', path]);
    expect(stderr).toMatch(/^error: genome\.nodes\[0\]\.op is "evil"/);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  }
});

describe('compare', () => {
  test('knows one function in two spellings', async () => {
    const { pairs, layers } = await ask('compare', 'x * sigmoid(x)', 'SiLU', 'x / (1 + exp(-x))');
    expect(pairs).toMatchObject([
      { sameFunction: true, sameGraph: true },
      { sameFunction: true, sameGraph: false },
    ]);
    expect(layers).toHaveLength(3);
  });

  test('tests differences where both were evaluated more than once, and else says that it cannot', async () => {
    const { pairs, protocol, noise } = await ask('compare', 'r1-0', 'r1-1', 'r1-2');
    expect(protocol).toBe('aaaa');
    expect(noise.functions).toBe(2);
    const [tested, single] = pairs;
    expect(tested.scores.mean.difference).toBeCloseTo(
      (0.55 + 0.555 + 0.56 - 0.65 - 0.665 - 0.67) / 3,
    );
    expect(tested.scores.mean.p).toBeLessThan(0.01);
    expect(tested.scores.mean.interval[1]).toBeLessThan(0);
    expect(single.scores.mean).toMatchObject({ interval: null, p: null });
    const { stdout } = await inProcess(['compare', 'r1-0', 'r1-2', '--db', filled()]);
    expect(stdout).toMatch(/A single evaluation does not tell how much of this is chance/);
  });

  test('takes the youngest protocol that scored all, or the named one, and never mixes them', async () => {
    expect((await ask('compare', 'r1-0', 'r3-0')).protocol).toBe('bbbb');
    const named = await ask('compare', 'r1-0', 'r3-0', '--protocol', 'aa');
    expect(named.layers[1].score.evaluations).toBe(3);
    const mixed = await ask('compare', 'r3-0', 'r2-0');
    expect(mixed.protocol).toBe('aaaa');
    const none = await ask('compare', 'r1-1', 'exp(x)');
    expect(none.pairs[0].scores).toBeNull();
  });

  test.each([
    [['r1-9', 'DyT'], /There is no layer r1-9/],
    [['DyT', 'DyT', '--protocol', 'zz'], /There is no protocol "zz"/],
    [['DyT', 'x * 2'], /the number 2/],
    [['DyT', ...Array.from({ length: 50 }, () => 'x')], /51 layers are too many/],
  ])('%j is refused', async (args, says) => {
    const { code, stderr, stdout } = await inProcess(['compare', ...args, '--db', filled()]);
    expect(stderr).toMatch(says);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });
});
