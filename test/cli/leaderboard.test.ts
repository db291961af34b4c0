import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openStore } from '../../db/store.ts';
import { csv, markdown } from '../../src/cli/text.ts';
import { printable } from '../../src/format.ts';
import type { Entry } from '../../src/reading/entries.ts';
import { evaluated, settled } from '../db/records.ts';
import { inProcess, temporaryFolder } from './process.ts';

const DAY = ['2026-01-01', '2026-01-02', '2026-01-03'].map((day) => `${day}T00:00:00.000Z`);

/** Of different sizes; a mean over `bwh` depends on the batch. */
const genome = (index: 'wh' | 'bwh', length: number) => ({
  nodes: [
    { op: 'mean' as const, args: [0], index },
    ...Array.from({ length }, (_, i) => ({ op: 'tanh' as const, args: [4 + i] })),
    { op: 'add' as const, args: [0, 4 + length] },
  ],
});

/** A new database with two protocols: under the first a known layer, and some that trade one anchor for the other. */
function filled(): string {
  const path = join(temporaryFolder(), 'x.db');
  const store = openStore(path);
  const begin = (protocolKey: string, day: number) =>
    store.begin({ started: DAY[day]!, config: {}, protocolKey, protocol: {} });
  const first = begin('aaaa', 0);
  const origin = { kind: 'baseline', name: 'BN-ReLU' } as const;
  store.commit(
    first,
    [
      settled(-1, { origin, functionalKey: 'bn', outcome: evaluated(0.8, 0.8) }),
      settled(0, { functionalKey: 'wide', genome: genome('wh', 1), outcome: evaluated(0.9, 0.6) }),
      settled(1, { functionalKey: 'deep', genome: genome('bwh', 2), outcome: evaluated(0.5, 0.9) }),
      settled(2, { functionalKey: 'bad', genome: genome('wh', 3), outcome: evaluated(0.5, 0.5) }),
    ],
    { seconds: 1, at: DAY[0]! },
  );
  const second = begin('aaaa', 1);
  store.commit(
    second,
    [settled(0, { functionalKey: 'new', genome: genome('wh', 0), outcome: evaluated(0.7, 0.7) })],
    { seconds: 1, at: DAY[1]! },
  );
  for (const [repeat, accuracy] of [
    [1, 0.72],
    [2, 0.68],
  ] as const)
    store.saveEvaluation({
      ...{ protocolKey: 'aaaa', functionalKey: 'new', repeat, at: DAY[2]!, seconds: 1 },
      outcome: evaluated(accuracy, accuracy),
    });
  const other = begin('abcd', 2);
  store.commit(
    other,
    [settled(0, { functionalKey: 'wide', genome: genome('wh', 1), outcome: evaluated(1, 1) })],
    { seconds: 1, at: DAY[2]! },
  );
  store.close();
  return path;
}

describe('the leaderboard', () => {
  const board = async (...flags: string[]): Promise<Entry[]> => {
    const args = ['leaderboard', '--db', filled(), '--json', ...flags];
    const { code, stdout, stderr } = await inProcess(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return JSON.parse(stdout);
  };
  const ids = (entries: readonly Entry[]) => entries.map(({ id }) => id);
  const A = ['--protocol', 'aa'];

  test('is of the youngest run’s protocol, and never mixes two', async () => {
    expect(ids(await board())).toEqual(['r3-0']);
    expect((await board())[0]!.fitness.mean).toBe(1);
    expect(ids(await board(...A))).toEqual(['BN-ReLU', 'r1-0', 'r2-0', 'r1-1', 'r1-2']);
    expect(ids(await board('--run', '2'))).toEqual(['r2-0']);
    for (const entry of await board(...A)) expect(entry.protocol).toBe('aaaa');
  });

  test.each([
    ['one anchor’s order', ['--sort', 'anchor-0'], ['r1-0', 'BN-ReLU', 'r2-0', 'r1-1', 'r1-2']],
    ['the other’s', ['--sort', 'anchor-1'], ['r1-1', 'BN-ReLU', 'r2-0', 'r1-0', 'r1-2']],
    ['evaluations', ['--sort', 'evaluations'], ['r2-0', 'BN-ReLU', 'r1-0', 'r1-1', 'r1-2']],
    ['age', ['--sort', 'age'], ['r2-0', 'BN-ReLU', 'r1-0', 'r1-1', 'r1-2']],
    ['one anchor', ['--anchor', 'anchor-1'], ['r1-1', 'BN-ReLU', 'r2-0', 'r1-0', 'r1-2']],
    ['pareto', ['--pareto'], ['BN-ReLU', 'r1-0', 'r1-1']],
    ['pareto over one', ['--pareto', '--anchor', 'anchor-0'], ['r1-0']],
    ['top of pareto', ['--pareto', '--sort', 'anchor-0', '--top', '1'], ['r1-0', 'BN-ReLU']],
    ['S', ['--batch-independent'], ['BN-ReLU', 'r1-0', 'r2-0', 'r1-2']],
    ['often', ['--min-evaluations', '2'], ['r2-0']],
    ['since', ['--since', '2026-01-02'], ['BN-ReLU', 'r2-0']],
    ['since noon', ['--since', '2026-01-02T12:00'], ['BN-ReLU']],
    ['top', ['--top', '1'], ['BN-ReLU']],
    ['all of it', ['--run', '1', '--top', '2', '--sort', 'anchor-1'], ['r1-1', 'BN-ReLU']],
  ])('can be asked for %s', async (_, flags, expected) => {
    expect(ids(await board(...A, ...flags))).toEqual(expected);
  });

  test('nodes sort the smallest first', async () => {
    const sizes = (await board(...A, '--sort', 'nodes')).map(({ nodes }) => nodes);
    expect(sizes).toEqual([...sizes].sort((a, b) => a - b));
    expect(new Set(sizes).size).toBeGreaterThan(2);
  });

  test('claims an interval only of repeated evaluations', async () => {
    const entries = await board(...A);
    for (const { id, fitness, evaluations } of entries) {
      expect(evaluations).toBe(id === 'r2-0' ? 3 : 1);
      expect(fitness.interval === null).toBe(evaluations === 1);
    }
    const { fitness } = entries.find(({ id }) => id === 'r2-0')!;
    // 0.70 ± 4.3027 · 0.02 / √3
    expect(fitness.mean).toBeCloseTo(0.7, 10);
    expect(fitness.interval![0]).toBeCloseTo(0.7 - 0.049683, 5);
    expect(fitness.interval![1]).toBeCloseTo(0.7 + 0.049683, 5);
    const { stdout } = await inProcess(['leaderboard', '--db', filled(), ...A]);
    expect(stdout).toMatch(/r2-0 +70\.00 ± 4\.97 %/);
    expect(stdout).toMatch(/r1-0 +75\.00 % /);
  });

  test('as CSV and Markdown has the same lines', async () => {
    const args = ['leaderboard', '--db', filled(), ...A];
    const [asCsv, asMarkdown] = [
      await inProcess([...args, '--csv']),
      await inProcess([...args, '--md']),
    ];
    const lines = asCsv.stdout.trim().split('\n');
    expect(lines[0]).toMatch(/^rank,name,id,mean,mean low,mean high,anchor-0,/);
    expect(lines).toHaveLength(6);
    expect(lines[2]).toMatch(/^2,,r1-0,0\.75,,,0\.9,,,0\.6,,,1,/);
    const table = asMarkdown.stdout.trim().split('\n');
    expect(table).toHaveLength(7);
    expect(new Set(table.map((line) => line.match(/(?<!\\)\|/g)!.length)).size).toBe(1);
  });

  test.each([
    [
      ['--protocol', 'x'],
      /no protocol "x" in .*aaaa \(5 layers scored\), abcd \(1 layers scored\)/,
    ],
    [['--protocol', 'a'], /"a" begins several protocols: aaaa/],
    [['--run', '1', '--protocol', 'abcd'], /Run 1 was scored under protocol aaaa, not abcd/],
    [['--run', '9'], /There is no run 9/],
    [['--sort', 'anchor-3'], /--sort is "anchor-3"; .*Did you mean anchor-0\?/],
    [['--anchor', 'anchr-0'], /no anchor "anchr-0"; it has anchor-0, anchor-1.*Did you mean/],
    [['--since', '2026-02-31'], /--since is "2026-02-31"; it must be a date/],
    [['--since', 'yesterday'], /it must be a date/],
    [['--min-evaluations', '0'], /--min-evaluations is "0"; it must be a whole number/],
    [['--csv', '--md'], /option '--(csv|md)' cannot be used with option/],
  ])('%j is refused', async (flags, says) => {
    const { code, stdout, stderr } = await inProcess(['leaderboard', '--db', filled(), ...flags]);
    expect(stderr).toMatch(says);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });
});

describe('text for other programs', () => {
  test('CSV quotes commas and quotes, and leaves nothing to evaluate', () => {
    const cells = [
      'a,b',
      'say "x"',
      '=1+1',
      '-x * v1',
      '+x',
      '@SUM(A1)',
      '\tx',
      'x\ny',
      '',
      'x - 1',
    ];
    expect(csv([cells, [1.5, -2, null]])).toBe(
      `"a,b","say ""x""",'=1+1,'-x * v1,'+x,'@SUM(A1),'\tx,"x\ny",,x - 1\n1.5,-2,`,
    );
  });

  test('Markdown takes nothing in a cell for markup', () => {
    const text = markdown([{ text: 'a', right: true }], [['v1 * x|y <b>`\n[z](w)']]);
    expect(text.split('\n').at(-1)).toBe('| v1 \\* x\\|y \\<b\\>\\` \\[z\\](w) |');
  });

  test('a terminal is told nothing by a name', () => {
    expect(printable('\u001b[2J\u009b1mBN\u202e')).toBe('\ufffd[2J\ufffd1mBN\ufffd');
  });
});
