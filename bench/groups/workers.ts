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
const STEPS = { full: 100, quick: 30 };
const CASE = 'candidates of the quick preset';
const MEMORY = 'memory';
const JOBS_PER_WORKER = 2;

/** What threads add. */
export const workers: Group = {
  name: 'workers',
  doc: 'two workers against one, and the memory that a worker takes',
  run,
  report,
};

/** Short trainings of EvoNorm-B0 under the quick preset's protocol. */
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
  const memory = { name: MEMORY, unit: 'MB per worker', sample: workerMemory };
  if (bench.wants(MEMORY))
    await bench.measure(results, MEMORY, [memory], { rounds: quick ? 1 : 3, warmUp: false });
}

const nameOf = (workers: number) => (workers === 1 ? '1 worker' : `${workers} workers`);

/** In a process of its own, whose memory is nobody else's. */
function workerMemory(): number {
  const script = join(packageRoot(), 'bench', 'worker-memory.ts');
  const args = [...process.execArgv, script];
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
    ]),
    ...missingContenders(results),
  ].join('\n');
}
