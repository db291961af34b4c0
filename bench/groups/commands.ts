import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { quantile } from 'simple-statistics';
import type { Bench, Group } from '../context.ts';
import { milliseconds } from '../measure.ts';
import { program } from '../program.ts';
import type { Results } from '../results.ts';
import { fillDatabase } from '../synthetic.ts';
import { figure, type Goal, goals, table } from '../table.ts';

const CANDIDATES = { full: 100_000, quick: 10_000 };
const ROUNDS = { full: 20, quick: 5 };
const NODE = 'node -e 0';
const COMMAND = 'command';
const PROTOCOL_OF_RUN_1 = ['--run', '1'];

/** Times training steps and loads a data set for it: shown, and no quick question. */
const DRY_RUN = 'search --dry-run';

/**
 * What a user types to read; ids are of proposals with long lineages, as evolution leaves them at the end of a run.
 * `runs --check` is not among them: it reads every row.
 */
const COMMANDS: readonly (readonly string[])[] = [
  ['--help'],
  ['evaluate', '--help'],
  ['completion', 'bash'],
  ['config'],
  ['config', '--schema'],
  ['zoo'],
  ['networks', '--anchor', 'mini-wide'],
  ['networks'],
  DRY_RUN.split(' '),
  ['runs'],
  ['stats'],
  ['stats', '1'],
  ['stats', '1', '--json'],
  ['leaderboard'],
  ['leaderboard', '--json'],
  ['leaderboard', ...PROTOCOL_OF_RUN_1],
  ['leaderboard', '--sort', 'mini-deep'],
  ['leaderboard', '--sort', 'nodes'],
  ['leaderboard', '--sort', 'age'],
  ['leaderboard', '--sort', 'evaluations'],
  ['leaderboard', '--anchor', 'mini-deep'],
  ['leaderboard', '--pareto'],
  ['leaderboard', '--batch-independent'],
  ['leaderboard', '--min-evaluations', '3'],
  ['leaderboard', '--since', '2026-01-03'],
  ['leaderboard', '--csv'],
  ['leaderboard', '--md'],
  ['show', 'r1-1990'],
  ['show', 'BN-ReLU'],
  ['compare', 'r1-1990', 'r1-1980', 'BN-ReLU'],
  ['export', 'r1-1990', '--to', 'pytorch'],
  ['export', 'r1-1990', '--to', 'json'],
];

/** Commands that read, as whole processes on a large database, beside a Node that does nothing. */
export const commands: Group = {
  name: 'commands',
  doc: 'commands that read a database of 100,000 candidates, as whole processes, in milliseconds',
  run,
  report,
};

async function run(bench: Bench, results: Results): Promise<void> {
  const { quick } = bench.settings;
  const rounds = quick ? ROUNDS.quick : ROUNDS.full;
  const wanted = COMMANDS.filter((args) => bench.wants(args.join(' ')));
  if (wanted.length === 0) return;
  const folder = mkdtempSync(join(tmpdir(), 'evolayer-bench-'));
  try {
    const db = join(folder, 'bench.db');
    const candidates = quick ? CANDIDATES.quick : CANDIDATES.full;
    fillDatabase(db, { candidates, runs: 5, seed: 1, numerics: bench.engine.numerics });
    const evolayer = program();
    for (const args of wanted) {
      const contenders = [
        { name: NODE, unit: 'ms', sample: () => whole(['-e', '0'], db) },
        { name: COMMAND, unit: 'ms', sample: () => whole([evolayer, ...args], db) },
      ];
      await bench.measure(results, args.join(' '), contenders, { rounds });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Milliseconds that a process takes, all of it. */
function whole(args: readonly string[], db: string): number {
  let status: number | null = null;
  let stderr = '';
  const taken = milliseconds(() => {
    const env = { ...process.env, EVOLAYER_DB: db };
    const ended = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
    ({ status, stderr } = ended);
  });
  if (status !== 0) throw new Error(stderr || `exit code ${status}`);
  return taken;
}

const LIMIT_MS = 150;

function report(results: Results): string {
  const rows = results.cases.map((name) => {
    const [bare, command] = [NODE, COMMAND].map((who) => results.find(name, who)?.samples ?? []);
    return { name, bare: bare!, command: command!, above: above(bare!, command!, 0.95) };
  });
  const measured = rows.filter(({ bare, command }) => bare.length > 0 && command.length > 0);
  const list = measured
    .filter(({ name }) => name !== DRY_RUN)
    .map(
      ({ name, above }): Goal => ({
        ...{ what: name, measured: above, wanted: ['≤', LIMIT_MS], show: figure },
      }),
    );
  const lines = measured.map(({ name, bare, command, above: p95 }) => [
    name,
    ...[quantile(bare, 0.5), above(bare, command, 0.5), p95].map(figure),
  ]);
  return [table(['ms', NODE, 'median above it', '95 % above it'], lines), goals(list)].join('\n');
}

/** How far a quantile of the command's times lies above the median of Node's. */
const above = (bare: readonly number[], command: readonly number[], q: number): number =>
  bare.length > 0 && command.length > 0
    ? quantile([...command], q) - quantile([...bare], 0.5)
    : Number.NaN;
