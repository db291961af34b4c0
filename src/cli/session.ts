import { type Command, Option } from 'commander';
import { type Store, usingStore } from '../../db/store.ts';
import { checkDataset } from '../eval/data.ts';
import { duration, percent } from '../format.ts';
import { layerOf } from '../graph/genome.ts';
import { formatLayer } from '../graph/text.ts';
import type { SearchConfig } from '../search/config.ts';
import { candidateId } from '../search/ids.ts';
import type { Pool } from '../search/pool.ts';
import { type RunSummary, runSearch, type SearchEvent, type SearchOptions } from '../search/run.ts';
import { poolFor } from '../search/spread-pool.ts';
import { INTERRUPTED, interruptibly } from './interrupt.ts';
import { countFrom } from './options.ts';
import { note, print, printJson, quoted } from './output.ts';
import { describeOutcomes } from './standing.ts';
import { type LogSettings, watched } from './watched.ts';

/** How long a write blocks this process, which has other work to do, for a lock of another program. */
const LOCK_PATIENCE_MS = 100;

export const addWorkersOption = (command: Command): Command =>
  command.addOption(
    new Option(
      '--workers <n>',
      'threads that train, one for each processor, or one on a GPU, unless told; results do not depend on it',
    ).argParser(countFrom('--workers', 1024)),
  );

export interface SessionOptions extends Partial<LogSettings> {
  readonly db: string;
  readonly workers: number;
  readonly json?: true;
}

/** Works on a new run, or on the one named, and prints the summary; a line says how to go on where it was interrupted. */
export async function runSession(
  config: SearchConfig,
  options: SessionOptions,
  runId?: number,
): Promise<RunSummary> {
  const { db, json } = options;
  const summary = await inThreads(config, options, runId);
  if (json) printJson(summaryOf(summary, db));
  else describeSummary(summary, db);
  if (summary.stopped === 'interrupted') {
    process.exitCode = INTERRUPTED;
    const { counts, detail } = summary;
    note(
      `Interrupted (${detail}); ${counts.proposals} proposals of run ${summary.runId} are saved.`,
    );
    sayHowToGoOn(summary.runId, db);
  }
  return summary;
}

/** Signals are heard until all is closed. */
function inThreads(
  config: SearchConfig,
  options: SessionOptions,
  runId: number | undefined,
): Promise<RunSummary> {
  let say = note;
  return interruptibly(
    (signal) =>
      withPool(config, options, (store, pool) =>
        watched(options, store, (watch) => {
          say = watch.say;
          return onRun({ config, store, pool, signal, onEvent: watch.onEvent }, runId);
        }),
      ),
    (text) => say(text),
  );
}

async function withPool<T>(
  { protocol }: SearchConfig,
  { db, workers }: SessionOptions,
  work: (store: Store, pool: Pool) => Promise<T>,
): Promise<T> {
  // First, so that it starts while this process has other things to do.
  const pool = poolFor(protocol, workers);
  try {
    checkDataset(protocol.dataset.name);
    return await usingStore(db, { patience: LOCK_PATIENCE_MS }, (store) => work(store, pool));
  } finally {
    await pool.close();
  }
}

/** Runs a search; where that fails, says how to go on. */
async function onRun(options: SearchOptions, runId: number | undefined): Promise<RunSummary> {
  let started: number | undefined;
  const onEvent = (event: SearchEvent) => {
    if (event.type === 'started') started = event.run.id;
    options.onEvent?.(event);
  };
  try {
    return await runSearch({ ...options, onEvent, ...(runId !== undefined && { runId }) });
  } catch (error) {
    if (started !== undefined) sayHowToGoOn(started, options.store.path);
    throw error;
  }
}

const sayHowToGoOn = (run: number, db: string): void =>
  note(`To go on: evolayer resume ${run} --db ${quoted(db)}`);

/** The object that `search --json` and `resume --json` end with. */
function summaryOf(summary: RunSummary, db: string) {
  const { runId, counts, best, seconds, stopped, condition, detail } = summary;
  const { proposals, outcomes, cacheHits, evaluated } = counts;
  return {
    ...{ run: runId, db, stopped, condition, detail, seconds },
    ...{ proposals, outcomes, cacheHits, trained: evaluated },
    best: best && {
      id: candidateId({ run: runId, index: best.index }),
      formula: formatLayer(layerOf(best.genome)),
      fitness: best.fitness,
    },
  };
}

function describeSummary(summary: RunSummary, db: string): void {
  const { run, stopped, detail, seconds, proposals, cacheHits, trained, best } = summaryOf(
    summary,
    db,
  );
  const hits = cacheHits.structural + cacheHits.functional;
  print(`run ${run} in ${db}: ${stopped} (${detail}) after ${duration(seconds)}`);
  print(`${proposals} proposals: ${describeOutcomes(summary.counts)}`);
  print(`${trained} trained to the end, ${hits} known from the cache`);
  print(
    best ? `best ${percent(best.fitness)}: ${best.id} = ${best.formula}` : 'none was good enough',
  );
}
