import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { openStore } from '../../../db/store.ts';
import { nativeEngine } from '../../eval/native/engine.ts';
import { layerOf } from '../../graph/genome.ts';
import { formatLayer } from '../../graph/text.ts';
import type { SearchConfig } from '../../search/config.ts';
import { candidateId } from '../../search/ids.ts';
import { hostPool } from '../../search/pool.ts';
import { type RunSummary, runSearch } from '../../search/run.ts';
import { costOf } from '../cost.ts';
import { INTERRUPTED, interruptibly } from '../interrupt.ts';
import { addFlags, countFrom, dbOption, jsonOption } from '../options.ts';
import { duration, note, percent, print, printJson } from '../output.ts';
import { addProtocolOptions } from '../protocol-options.ts';
import { SEARCH_FLAGS, type SettingOptions, searchConfigOf } from '../settings.ts';
import { describeOutcomes } from '../standing.ts';
import { addLogOptions, type LogSettings, watched } from '../watched.ts';

export const searchCommand = (program: Command) =>
  addLogOptions(addFlags(addProtocolOptions(program.command('search')), SEARCH_FLAGS))
    .option(
      '--workers <n>',
      'threads that train; results do not depend on it',
      countFrom('--workers', 1024),
      availableParallelism(),
    )
    .option('--dry-run', 'print the configuration and what it costs, and stop')
    .addOption(dbOption())
    .addOption(jsonOption())
    .action(async (options: SearchOptions) => void (await search(options)));

export type SearchOptions = SettingOptions &
  Partial<LogSettings> & {
    readonly db: string;
    readonly workers: number;
    readonly dryRun?: true;
    readonly json?: true;
  };

/** Searches, prints the summary, and returns it; null after a dry run. */
export async function search(options: SearchOptions): Promise<RunSummary | null> {
  const { db, workers, json } = options;
  const engine = nativeEngine();
  const config = searchConfigOf(options, engine.numerics);
  if (options.dryRun) {
    const plan = { config, workers, cost: costOf(config, engine, workers) };
    if (json) printJson(plan);
    else describePlan(plan);
    return null;
  }
  const summary = await runInHost(config, options);
  if (summary.stopped === 'interrupted') {
    process.exitCode = INTERRUPTED;
    note(`Interrupted; ${summary.counts.proposals} proposals of run ${summary.runId} are saved.`);
  }
  if (json) printJson(summaryOf(summary, db));
  else describeSummary(summary, db);
  return summary;
}

async function runInHost(config: SearchConfig, options: SearchOptions): Promise<RunSummary> {
  const store = openStore(options.db);
  const pool = hostPool({ dataset: config.protocol.dataset, workers: options.workers });
  try {
    return await watched(options, store, ({ onEvent, say }) =>
      interruptibly((signal) => runSearch({ config, store, pool, signal, onEvent }), say),
    );
  } finally {
    await pool.close();
    store.close();
  }
}

/** The object that `search --json` ends with. */
function summaryOf({ runId, counts, best, seconds, stopped }: RunSummary, db: string) {
  const { proposals, outcomes, cacheHits, evaluated } = counts;
  return {
    ...{ run: runId, db, stopped, seconds, proposals, outcomes, cacheHits, trained: evaluated },
    best: best && {
      id: candidateId({ run: runId, index: best.index }),
      formula: formatLayer(layerOf(best.genome)),
      fitness: best.fitness,
    },
  };
}

function describeSummary(summary: RunSummary, db: string): void {
  const { run, stopped, seconds, proposals, cacheHits, trained, best } = summaryOf(summary, db);
  const hits = cacheHits.structural + cacheHits.functional;
  print(`run ${run} in ${db}: ${stopped} after ${duration(seconds)}`);
  print(`${proposals} proposals: ${describeOutcomes(summary.counts)}`);
  print(`${trained} trained to the end, ${hits} known from the cache`);
  print(
    best ? `best ${percent(best.fitness)}: ${best.id} = ${best.formula}` : 'none was good enough',
  );
}

function describePlan({
  config,
  workers,
  cost,
}: {
  config: SearchConfig;
  workers: number;
  cost: ReturnType<typeof costOf>;
}) {
  print(JSON.stringify(config, null, 2));
  const { failedTestSeconds, trainingSeconds, atMostSeconds } = cost;
  print(
    `A candidate that fails the first quality test takes ${failedTestSeconds.toFixed(2)} s of a core, ` +
      `one that is trained to the end ${trainingSeconds.toFixed(2)} s.`,
  );
  print(
    `The search takes at most ${duration(atMostSeconds)} with ${workers} workers; most proposals are ` +
      'rejected before they are trained.',
  );
}
