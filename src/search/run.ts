import type { Fault } from '../../db/faults.ts';
import type { Run } from '../../db/runs.ts';
import type { Stop } from '../../db/sessions.ts';
import type { Settled, Store } from '../../db/store.ts';
import { protocolKey } from '../eval/protocol.ts';
import { type Clock, SYSTEM_CLOCK } from './clock.ts';
import type { SearchConfig } from './config.ts';
import { Coordinator, type CoordinatorOptions } from './coordinator.ts';
import { patiently } from './journal.ts';
import type { Pool } from './pool.ts';
import type { Best, FunnelCounts } from './progress.ts';
import { checkCourse, checkUnfinished } from './resume.ts';
import type { StopCondition } from './stop.ts';

/** Where a run stands. */
export interface Progress {
  readonly counts: FunnelCounts;
  /** Proposals that the run will have at its end. */
  readonly total: number;
  readonly inFlight: number;
  readonly best: Best | null;
  /** Time spent on the run, earlier sessions included. */
  readonly seconds: number;
}

export type SearchEvent =
  | {
      readonly type: 'started';
      readonly run: Run;
      readonly workers: number;
      readonly progress: Progress;
    }
  /** A known layer was scored, or rejected. */
  | { readonly type: 'baseline'; readonly name: string; readonly candidate: Settled }
  /** These candidates, in order, are in the database now. */
  | {
      readonly type: 'committed';
      readonly candidates: readonly Settled[];
      readonly progress: Progress;
    }
  /** Something went wrong and is tried again, or given up; no reason to end the run. */
  | ({ readonly type: 'fault' } & Omit<Fault, 'at'>);

export interface RunSummary {
  readonly runId: number;
  readonly counts: FunnelCounts;
  readonly best: Best | null;
  /** Time spent on the run, earlier sessions included. */
  readonly seconds: number;
  readonly stopped: Stop;
  /** The condition that ended it; null where it was interrupted. */
  readonly condition: StopCondition | null;
  /** The same in words, or the signal's reason. */
  readonly detail: string;
}

export interface SearchOptions {
  readonly config: SearchConfig;
  readonly store: Store;
  readonly pool: Pool;
  /** The run to go on with; a new one where there is none. */
  readonly runId?: number;
  /** Stops the run; what is committed by then is a run that can go on. Its reason, a text, is noted. */
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: SearchEvent) => void;
  readonly clock?: Partial<Clock>;
}

/**
 * Runs a search to its end, or until `signal`. Proposal i depends only on the configuration and on the
 * results of proposals ≤ i − lookahead, and results are committed in order; so the same configuration
 * gives the same candidates with any number of workers, and a run that stopped anywhere goes on, from
 * the database alone, as if it had not. Throws a UserError where the database cannot be written, no
 * worker can work, or the run cannot go on with this configuration; what was committed stays.
 */
export async function runSearch(options: SearchOptions): Promise<RunSummary> {
  const { config, store, pool, runId, signal = new AbortController().signal } = options;
  const { onEvent: emit = () => {} } = options;
  const clock = { ...SYSTEM_CLOCK, ...options.clock };
  const context = { config, store, pool, signal, emit, clock };
  const run = runId === undefined ? await begin(context) : goOn(context, runId);
  return new Coordinator({ ...context, run }).toTheEnd();
}

type Context = Omit<CoordinatorOptions, 'run'>;

/** A new run. Waits for a locked database, also after the signal: there is nothing to stop yet. */
async function begin({ config, store, emit, clock }: Context): Promise<Run> {
  const { protocol } = config;
  const started = clock.date().toISOString();
  const { signal } = new AbortController();
  const onLocked = (message: string) =>
    emit({ type: 'fault', index: null, kind: 'locked', message });
  const run = await patiently(
    () => store.begin({ started, config, protocolKey: protocolKey(protocol), protocol }),
    { clock, signal, onLocked },
  );
  if (!run) throw new Error('internal: nothing can end this waiting');
  return run;
}

function goOn({ config, store }: Context, id: number): Run {
  const run = store.runs.byId(id);
  if (!run) throw store.noRun(id);
  checkCourse(run, config);
  checkUnfinished(run, config, store);
  return run;
}
