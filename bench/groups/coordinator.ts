import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../src/eval/package-root.ts';
import type { Bench, Group } from '../context.ts';
import type { Growth } from '../coordinator-memory.ts';
import { program } from '../program.ts';
import type { Results } from '../results.ts';
import { Sleepers, searchInFile, simulatedConfig, TRIVIAL } from '../simulated.ts';
import { figure, goals, missingContenders, percent, table } from '../table.ts';

/** What everything but the training costs. */
export const coordinator: Group = {
  name: 'coordinator',
  doc: 'a search whose evaluations cost nothing, and one with 64 workers that sleep for a second',
  run,
  report,
};

const RATE = 'trivial evaluator';
const RATE_PROPOSALS = { full: 10_000, quick: 3_000 };
const SEARCHES = {
  'random genomes': { algorithm: 'random' },
  'quick preset': {},
  'quick preset, one per commit': { lookahead: 1 },
} as const;

const READING = 'beside a reader';
const ALONE = 'nobody reads';
const BESIDE = '`stats` over and over';
const ELSEWHERE = '`stats` of another database';

const SLEEPERS = '64 sleepers';
const WORKERS = 64;
const SLEEP_MS = 1000;
const LOOKAHEADS = { full: [256, 512, 1024, 4096], quick: [1024] };
/** Seconds of a search, and how many of them are not looked at: the workers begin together. */
const SLEEPERS_SECONDS = 12;
const SLEEPERS_WARM_UP = 4;

const GROWTH = 'long run';
const GROWTH_PROPOSALS = { full: 100_000, quick: 20_000 };
const GROWTH_UNITS: Readonly<Record<keyof Growth, readonly [what: string, unit: string]>> = {
  residentMB: ['growth of the resident memory', 'MB'],
  firstCommit: ['commit, first tenth', 'µs per candidate'],
  lastCommit: ['commit, last tenth', 'µs per candidate'],
  firstBytes: ['database, first tenth', 'bytes per candidate'],
  lastBytes: ['database, last tenth', 'bytes per candidate'],
  perSecond: ['commits', 'candidates/s'],
};

async function run(bench: Bench, results: Results): Promise<void> {
  const size = bench.settings.quick ? 'quick' : 'full';
  if (bench.wants(RATE)) await measureRates(bench, results, RATE_PROPOSALS[size]);
  if (bench.wants(READING)) await measureReading(bench, results, RATE_PROPOSALS[size]);
  if (bench.wants(SLEEPERS)) await measureSleepers(bench, results, LOOKAHEADS[size]);
  if (bench.wants(GROWTH)) await measureGrowth(bench, results, GROWTH_PROPOSALS[size]);
}

async function measureRates(bench: Bench, results: Results, proposals: number): Promise<void> {
  const contenders = Object.entries(SEARCHES).map(([name, flags]) => ({
    name,
    unit: 'candidates/s',
    sample: async () => {
      const config = simulatedConfig({ stop: { proposals }, ...flags });
      const { counts, seconds } = await searchInFile(config, TRIVIAL);
      return counts.proposals / seconds;
    },
  }));
  await bench.measure(results, RATE, contenders, { rounds: 3 });
}

/**
 * The same search while nobody reads, while a process reads its database, and while the same process reads a
 * database that the search has nothing to do with. Between the first and the last lies what any busy process
 * takes from a search (caches, memory, clock, a core); between the last two, what reading a run does to it:
 * locks, and a log that cannot be written back while somebody reads it.
 *
 * What says that the loss is not of the latter kind: traced over 4,000 proposals beside a reader, the search never
 * slept for a lock (SQLite sleeps between two attempts; six attempts to write back the log were put off instead);
 * it took as much processor time as without (2.5 s and 2.6 s), and its log grew to 5.5 MB instead of 4.3 MB.
 */
async function measureReading(bench: Bench, results: Results, proposals: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'evolayer-bench-'));
  const elsewhere = join(folder, 'elsewhere.db');
  const config = simulatedConfig({ stop: { proposals }, algorithm: 'random' });
  const rateWith = async (read: ((path: string) => string) | null) => {
    let stop = () => {};
    const prepare = ({ path }: { path: string }) => {
      if (read) stop = startReader(read(path));
    };
    try {
      const { counts, seconds } = await searchInFile(config, TRIVIAL, { prepare });
      return counts.proposals / seconds;
    } finally {
      stop();
    }
  };
  const contender = (name: string, read: ((path: string) => string) | null) => ({
    ...{ name, unit: 'candidates/s', sample: () => rateWith(read) },
  });
  try {
    // Half of a run, which is what a reader of the run meets on average.
    const half = simulatedConfig({ stop: { proposals: proposals / 2 }, algorithm: 'random' });
    await searchInFile(half, TRIVIAL, { path: elsewhere });
    const contenders = [
      contender(ALONE, null),
      contender(ELSEWHERE, () => elsewhere),
      contender(BESIDE, (path) => path),
    ];
    await bench.measure(results, READING, contenders, { rounds: 7 });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function startReader(db: string): () => void {
  const script = join(packageRoot(), 'bench', 'reader.ts');
  const args = [...process.execArgv, script, program(), db];
  const reader = spawn(process.execPath, args, { stdio: ['pipe', 'ignore', 'inherit'] });
  return () => reader.stdin.end();
}

const lookaheadOf = (n: number) => `lookahead ${n}`;

async function measureSleepers(
  bench: Bench,
  results: Results,
  lookaheads: readonly number[],
): Promise<void> {
  const contenders = lookaheads.map((lookahead) => ({
    name: lookaheadOf(lookahead),
    unit: 'share of ideal',
    sample: () => shareOfIdeal(lookahead),
  }));
  await bench.measure(results, SLEEPERS, contenders, { rounds: 1, warmUp: false });
}

/** Evaluations that ended after the warm-up, as a share of those that workers without a pause would do. */
async function shareOfIdeal(lookahead: number): Promise<number> {
  const pool = new Sleepers(WORKERS, SLEEP_MS);
  const stop = { proposals: 1_000_000_000, seconds: SLEEPERS_SECONDS };
  let before = { at: 0, done: 0 };
  const timer = setTimeout(() => {
    before = { at: performance.now(), done: pool.done };
  }, 1000 * SLEEPERS_WARM_UP);
  await searchInFile(simulatedConfig({ stop, lookahead }), pool);
  clearTimeout(timer);
  const seconds = (performance.now() - before.at) / 1000;
  return (pool.done - before.done) / ((seconds * WORKERS * 1000) / SLEEP_MS);
}

/** In a process of its own, whose memory is nobody else's. */
async function measureGrowth(bench: Bench, results: Results, proposals: number): Promise<void> {
  let growth: Growth | undefined;
  const measure = (): Growth => {
    const script = join(packageRoot(), 'bench', 'coordinator-memory.ts');
    const args = [...process.execArgv, script, String(proposals)];
    return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }));
  };
  const contenders = (Object.keys(GROWTH_UNITS) as (keyof Growth)[]).map((key) => ({
    ...{ name: GROWTH_UNITS[key][0], unit: GROWTH_UNITS[key][1] },
    sample: () => {
      growth ??= measure();
      return growth[key];
    },
  }));
  await bench.measure(results, GROWTH, contenders, { rounds: 1, warmUp: false });
}

function report(results: Results): string {
  const rows = results.all.map(({ case: name, contender, unit, median }) => [
    `${name}: ${contender}`,
    figure(median ?? Number.NaN),
    unit,
  ]);
  const rate = (name: string, contender: string) => results.median(name, contender);
  const growth = (key: keyof Growth) => results.median(GROWTH, GROWTH_UNITS[key][0]);
  const best = Math.max(
    ...results.all.filter((r) => r.case === SLEEPERS).map(({ median }) => median ?? Number.NaN),
  );
  return [
    table(['', 'median', 'unit'], rows),
    goals([
      {
        what: 'commits per second, random genomes',
        measured: results.median(RATE, 'random genomes'),
        ...{ wanted: ['≥', 2000], show: figure },
      },
      {
        what: '64 sleepers, share of ideal, best lookahead',
        ...{ measured: best, wanted: ['≥', 0.95], show: percent },
      },
      {
        what: 'commits per second beside a reader ÷ beside one of another database',
        measured: rate(READING, BESIDE) / rate(READING, ELSEWHERE),
        ...{ wanted: ['≥', 0.95], show: figure },
      },
      {
        what: 'growth of the resident memory, MB',
        ...{ measured: growth('residentMB'), wanted: ['≤', 30], show: figure },
      },
      {
        what: 'commit, last tenth ÷ first tenth',
        measured: growth('lastCommit') / growth('firstCommit'),
        ...{ wanted: ['≤', 1.5], show: figure },
      },
      {
        what: 'growth of the database per candidate, last tenth ÷ first tenth',
        measured: growth('lastBytes') / growth('firstBytes'),
        ...{ wanted: ['≤', 1.1], show: figure },
      },
    ]),
    ...missingContenders(results),
  ].join('\n');
}
