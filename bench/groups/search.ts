import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore } from '../../db/store.ts';
import { resolveSearchConfig } from '../../src/search/config.ts';
import { hostPool } from '../../src/search/pool.ts';
import { runSearch } from '../../src/search/run.ts';
import type { Bench, Group } from '../context.ts';
import type { Results } from '../results.ts';
import { figure, goals, missingContenders, table } from '../table.ts';

/** A quick run measures the beginning, before evolution gets going. */
const QUICK_PROPOSALS = 150;
const CASE = 'quick preset';
const SCREENING = 'keys and probes';

/** A search as a user runs it, with as many workers as there are processors. */
export const search: Group = {
  name: 'search',
  doc: 'candidates per minute of a whole search with the quick preset, on all processors, and what keys and probes take of its time',
  run,
  report,
};

async function run(bench: Bench, results: Results): Promise<void> {
  if (!bench.wants(CASE)) return;
  let counts = { proposed: 0, trained: 0, screening: 0 };
  const proposals = { name: 'proposals', unit: 'per minute', sample: () => counts.proposed };
  const trained = {
    name: 'trained to the end',
    unit: 'per minute',
    sample: async () => {
      counts = await searchOnce(bench);
      return counts.trained;
    },
  };
  const screening = { name: SCREENING, unit: '% of the time', sample: () => counts.screening };
  await bench.measure(results, CASE, [trained, proposals, screening], { rounds: 1, warmUp: false });
}

/** What one search does in a minute, and what it takes to recognise its proposals. */
async function searchOnce({ settings, engine }: Bench) {
  const flags = settings.quick ? { stop: { proposals: QUICK_PROPOSALS } } : {};
  const config = resolveSearchConfig({ flags, numerics: engine.numerics });
  const { dataset } = config.protocol;
  const folder = mkdtempSync(join(tmpdir(), 'evolayer-bench-'));
  const store = openStore(join(folder, 'bench.db'));
  const pool = hostPool({ dataset, workers: availableParallelism() });
  try {
    const { runId, counts, seconds } = await runSearch({ config, store, pool });
    const minutes = seconds / 60;
    const [session] = store.sessions.ofRun(runId);
    return {
      ...{ proposed: counts.proposals / minutes, trained: counts.evaluated / minutes },
      screening: (100 * session!.screening) / seconds,
    };
  } finally {
    await pool.close();
    store.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function report(results: Results): string {
  const rows = results.all.map(({ contender, unit, median }) => [
    contender,
    figure(median ?? Number.NaN),
    unit,
  ]);
  const share = {
    what: `${SCREENING}, % of the time`,
    measured: results.median(CASE, SCREENING),
    ...{ wanted: ['≤', 3] as const, show: figure },
  };
  return [
    table(['', 'measured', 'unit'], rows),
    goals([share]),
    ...missingContenders(results),
  ].join('\n');
}
