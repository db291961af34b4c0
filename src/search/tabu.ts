import { LRUCache } from 'lru-cache';
import type { Run } from '../../db/runs.ts';
import type { Store } from '../../db/store.ts';
import type { SearchConfig } from './config.ts';

/** What is asked about the proposals that are not committed yet. */
export interface FunctionsInFlight {
  /** How many of them, known layers that the run begins with left out, compute this function. */
  timesProposed(functionalKey: string): number;
}

export interface TabuOptions {
  readonly store: Store;
  readonly run: Run;
  readonly config: Pick<SearchConfig, 'tabu'>;
  /** Functions whose number of proposals is kept in memory, from 1: all that are proposed again and again. */
  readonly remembered?: number;
}

/**
 * The functions that a run has proposed as often as it may. Known layers that the run begins with do not
 * count: they are there whatever they compute.
 *
 * How often a function was proposed follows from the database and the proposals in flight. Counting takes
 * as long as there are proposals of a function, so the numbers of those that were asked for last are
 * remembered.
 */
export class TabuList {
  readonly #options: TabuOptions;
  readonly #limit: number;
  readonly #counts: LRUCache<string, number>;

  constructor(options: TabuOptions) {
    this.#options = options;
    this.#limit = options.config.tabu.limit;
    this.#counts = new LRUCache({ max: options.remembered ?? 10_000 });
  }

  has(functionalKey: string | null, inFlight: FunctionsInFlight): boolean {
    if (this.#limit === 0 || functionalKey === null) return false;
    const count = this.#counts.get(functionalKey) ?? this.#count(functionalKey, inFlight);
    this.#counts.set(functionalKey, count);
    return count >= this.#limit;
  }

  /** Counts a proposal; call it before that is in flight. */
  count(functionalKey: string | null): void {
    if (functionalKey === null) return;
    const count = this.#counts.get(functionalKey);
    // What is not remembered is counted when it is asked for.
    if (count !== undefined) this.#counts.set(functionalKey, count + 1);
  }

  #count(functionalKey: string, inFlight: FunctionsInFlight): number {
    const { store, run } = this.#options;
    const committed = store.candidates.timesProposed(functionalKey, run.id);
    return committed + inFlight.timesProposed(functionalKey);
  }
}
