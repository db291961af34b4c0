import { isDeepStrictEqual } from 'node:util';
import type { Run } from '../../../db/runs.ts';
import { type Store, usingStore } from '../../../db/store.ts';
import { UserError } from '../../errors.ts';
import type { Protocol } from '../../eval/protocol.ts';
import { courseOf, type SearchConfig } from '../config.ts';
import type { Pool } from '../pool.ts';
import { runSearch, type SearchEvent } from '../run.ts';
import { workMeter } from './work.ts';

/** One run of a study, with a database of its own. */
export interface StudyRun {
  readonly path: string;
  readonly config: SearchConfig;
  /** The work that it may do, in full evaluations; the candidate whose evaluation reaches it is the last one. */
  readonly budget: number;
  /** The protocol whose full evaluation is the unit of work, which is not the run's own where arms differ in theirs. */
  readonly unit: Protocol;
}

export interface RunContext {
  readonly pool: Pool;
  readonly signal: AbortSignal;
}

/** How long a write blocks this process for a lock of another program, which has no business here. */
const LOCK_PATIENCE_MS = 100;

/**
 * Works on a run until its budget is used up, or its proposals are; goes on where it stopped before, and
 * does nothing where it is done. False where `signal` ended it. The run may have committed a few candidates
 * more than count, which are those behind `Spending.last`.
 */
export function runToBudget(run: StudyRun, { pool, signal }: RunContext): Promise<boolean> {
  const { path, config } = run;
  return usingStore(path, { patience: LOCK_PATIENCE_MS }, async (store) => {
    const begun = runIn(store, config);
    const spending = new Spending(store, run);
    if (begun) spending.count(begun.id);
    if (spending.isOver || (begun && begun.proposals >= config.stop.proposals)) return true;
    const enough = new AbortController();
    let id = 0;
    const onEvent = (event: SearchEvent) => {
      if (event.type === 'started') id = event.run.id;
      if (event.type === 'committed') spending.count(id);
      if (spending.isOver) enough.abort('the budget of the study is used up');
    };
    const { stopped } = await runSearch({
      ...{ config, store, pool, onEvent, signal: AbortSignal.any([signal, enough.signal]) },
      ...(begun && { runId: begun.id }),
    });
    return stopped === 'finished' || spending.isOver;
  });
}

/** The one run of a study's database; null where it was not begun. Throws a UserError where it is another run. */
export function runIn(store: Store, config: SearchConfig): Run | null {
  const runs = store.runs.list();
  const [run] = runs;
  if (!run) return null;
  if (runs.length > 1 || !isDeepStrictEqual(courseOf(run.config as SearchConfig), courseOf(config)))
    throw new UserError(
      `${store.path} holds a run of another configuration than this study asks for; name another folder with --dir.`,
    );
  return run;
}

/** What is spent of a run's budget, evaluation after evaluation in the order of the candidates. */
export interface Spent {
  readonly index: number;
  /** Of all evaluations up to this one, in full evaluations. */
  readonly work: number;
  /** Of this evaluation. */
  readonly seconds: number;
  /** Whether it went to the end. */
  readonly trained: boolean;
}

/** Adds up the work of a run, up to the candidate that reaches the budget. */
export class Spending {
  readonly #store: Store;
  readonly #meter: ReturnType<typeof workMeter>;
  readonly #budget: number;
  readonly #spent: Spent[] = [];
  #last: number | null = null;

  constructor(store: Store, { config, budget, unit }: StudyRun) {
    this.#store = store;
    this.#meter = workMeter(config.protocol, unit);
    this.#budget = budget;
  }

  /** The index of the candidate that reached the budget; null where none did. */
  get last(): number | null {
    return this.#last;
  }

  get isOver(): boolean {
    return this.#last !== null;
  }

  get spent(): readonly Spent[] {
    return this.#spent;
  }

  /** Counts what was committed since the last time. */
  count(run: number): void {
    const counted = this.#spent.at(-1);
    let work = counted?.work ?? 0;
    for (const { index, ending, seconds } of this.#store.work.caused(run, counted?.index)) {
      if (this.isOver) return;
      work += this.#meter(ending);
      this.#spent.push({ index, work, seconds, trained: ending.outcome === 'evaluated' });
      if (work >= this.#budget) this.#last = index;
    }
  }
}
