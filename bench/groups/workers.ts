import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { packageRoot } from '../../src/eval/package-root.ts';
import { resolveProtocol } from '../../src/eval/presets.ts';
import { genomeOf } from '../../src/graph/genome.ts';
import { hostPool, type Pool } from '../../src/search/pool.ts';
import type { Job } from '../../workers/messages.ts';
import type { Bench, Group } from '../context.ts';
import { KNOWN_LAYERS } from '../layers.ts';
import type { Results } from '../results.ts';
import { figure, goals, missingContenders, table } from '../table.ts';

const ROUNDS = { full: 7, quick: 3 };
const STEPS = { full: 300, quick: 100 };
const CASE = 'candidates of the quick preset';
const MEMORY = 'memory';
const GROWTH = 'growth';
const GROWTH_CANDIDATES = { full: 5000, quick: 1000 };
const JOBS_PER_WORKER = 4;

/** What threads add. */
export const workers: Group = {
  name: 'workers',
  doc: 'two workers against one, the memory that a worker takes, and how that grows',
  run,
  report,
};

/** Trainings of EvoNorm-B0 under the quick preset's protocol, as long as there where the benchmark is not a quick one. */
export function shortJob(numerics: string, steps: number): Job {
  const overrides = { steps, quality: { steps: 0 } };
  const protocol = resolveProtocol('quick', overrides, numerics);
  const { layer } = KNOWN_LAYERS.find(({ name }) => name === 'EvoNorm-B0')!;
  return { genome: genomeOf(layer), protocol, seed: 'bench' };
}

/** Runs as many jobs per worker at once; seconds. */
export async function work(pool: Pool, job: Job): Promise<number> {
  const { signal } = new AbortController();
  const start = performance.now();
  const jobs = Array.from({ length: pool.workers * JOBS_PER_WORKER }, () =>
    pool.run(job, { signal }),
  );
  await Promise.all(jobs);
  return (performance.now() - start) / 1000;
}

async function run(bench: Bench, results: Results): Promise<void> {
  const { quick } = bench.settings;
  const job = shortJob(bench.engine.numerics, quick ? STEPS.quick : STEPS.full);
  const { dataset } = job.protocol;
  const pools = [1, 2].map((workers) => hostPool({ dataset, workers }));
  try {
    const contenders = pools.map((pool) => ({
      name: nameOf(pool.workers),
      unit: 'candidates/s',
      sample: async () => (pool.workers * JOBS_PER_WORKER) / (await work(pool, job)),
    }));
    const rounds = quick ? ROUNDS.quick : ROUNDS.full;
    if (bench.wants(CASE)) await bench.measure(results, CASE, contenders, { rounds });
  } finally {
    await Promise.all(pools.map((pool) => pool.close()));
  }
  const memory = {
    ...{ name: MEMORY, unit: 'MB per worker', sample: () => megabytesOf('worker-memory.ts') },
  };
  if (bench.wants(MEMORY))
    await bench.measure(results, MEMORY, [memory], { rounds: quick ? 1 : 3, warmUp: false });
  const candidates = quick ? GROWTH_CANDIDATES.quick : GROWTH_CANDIDATES.full;
  const growth = {
    ...{ name: GROWTH, unit: `MB over ${candidates} candidates` },
    sample: () => megabytesOf('worker-growth.ts', candidates),
  };
  if (bench.wants(GROWTH))
    await bench.measure(results, GROWTH, [growth], { rounds: 1, warmUp: false });
}

const nameOf = (workers: number) => (workers === 1 ? '1 worker' : `${workers} workers`);

/** What a script says, in a process of its own, whose memory is nobody else's. */
function megabytesOf(name: string, ...given: readonly number[]): number {
  const script = join(packageRoot(), 'bench', name);
  const args = [...process.execArgv, script, ...given.map(String)];
  return Number(execFileSync(process.execPath, args, { encoding: 'utf8' }));
}

function report(results: Results): string {
  const rows = results.all.map(({ contender, unit, median }) => [
    contender,
    figure(median ?? Number.NaN),
    unit,
  ]);
  const gain = results.median(CASE, nameOf(2)) / results.median(CASE, nameOf(1));
  const memory = results.median(MEMORY, MEMORY);
  return [
    table(['', 'median', 'unit'], rows),
    goals([
      { what: 'two workers against one', measured: gain, wanted: ['≥', 1.9], show: figure },
      { what: 'MB per worker', measured: memory, wanted: ['≤', 200], show: figure },
      {
        what: 'growth of two workers, MB',
        ...{ measured: results.median(GROWTH, GROWTH), wanted: ['≤', 30], show: figure },
      },
    ]),
    ...missingContenders(results),
  ].join('\n');
}
