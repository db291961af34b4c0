import { setMaxListeners } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import type { Run } from '../../db/runs.ts';
import type { Stop } from '../../db/sessions.ts';
import type { Settled, Store } from '../../db/store.ts';
import type { JobResult } from '../../workers/messages.ts';
import { UserError } from '../errors.ts';
import { evaluationSeed, protocolKey } from '../eval/protocol.ts';
import { randomStream } from '../eval/random.ts';
import type { Genome } from '../graph/genome.ts';
import { ALGORITHMS, type Proposal } from './algorithm.ts';
import { baselineProposals, canBeParent } from './baselines.ts';
import type { SearchConfig } from './config.ts';
import { Flight, type Landing } from './flight.ts';
import { Funnel } from './funnel.ts';
import type { Pool } from './pool.ts';
import { addToFunnel, type Best, better, countFunnel, type FunnelCounts } from './progress.ts';
import { type Member, memberOf, populationAt } from './select.ts';

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
  /** A worker failed at a candidate, which is tried once more. */
  | { readonly type: 'retried'; readonly index: number; readonly message: string };

export interface RunSummary {
  readonly runId: number;
  readonly counts: FunnelCounts;
  readonly best: Best | null;
  /** Time spent on the run, earlier sessions included. */
  readonly seconds: number;
  readonly stopped: Stop;
}

export interface SearchOptions {
  readonly config: SearchConfig;
  readonly store: Store;
  readonly pool: Pool;
  /** The run to go on with; a new one where there is none. */
  readonly runId?: number;
  /** Stops the run; what is committed by then is a run that can go on. */
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: SearchEvent) => void;
  /** Milliseconds that only go forward. */
  readonly now?: () => number;
  readonly date?: () => Date;
}

/**
 * Runs a search to its end, or until `signal`. Proposal i depends only on the configuration and on the
 * results of proposals ≤ i − lookahead, and results are committed in order; so the same configuration
 * gives the same candidates with any number of workers, and a run that stopped anywhere goes on, from
 * the database alone, as if it had not. Throws a UserError where the database cannot be written or no
 * worker can work; what was committed stays.
 */
export async function runSearch(options: SearchOptions): Promise<RunSummary> {
  const run = options.runId === undefined ? begin(options) : goOn(options, options.runId);
  return new Search(options, run).toTheEnd();
}

function begin({ config, store, date = () => new Date() }: SearchOptions): Run {
  const { protocol } = config;
  return store.begin({
    started: date().toISOString(),
    config,
    protocolKey: protocolKey(protocol),
    protocol,
  });
}

function goOn({ config, store }: SearchOptions, id: number): Run {
  const run = store.runs.byId(id);
  if (!run) throw new UserError(`There is no run ${id} in ${store.path}.`);
  const { stop } = config;
  if (!isDeepStrictEqual({ ...(run.config as SearchConfig), stop }, config))
    throw new UserError(
      `Run ${id} was started with another configuration; only the conditions that stop it may change.`,
    );
  return run;
}

/** Lets messages, timers and signals through. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

class Search {
  readonly #config: SearchConfig;
  readonly #store: Store;
  readonly #pool: Pool;
  readonly #run: Run;
  readonly #emit: (event: SearchEvent) => void;
  readonly #now: () => number;
  readonly #date: () => Date;
  readonly #start: number;
  readonly #stopJobs = new AbortController();
  readonly #signal: AbortSignal;
  readonly #funnel: Funnel;
  readonly #flight = new Flight();
  readonly #baselines: readonly Proposal[];
  /** The youngest members, as many as any proposal to come can see. */
  #members: Member[];
  #next: number;
  #counts: FunnelCounts;
  #best: Best | null;

  constructor(options: SearchOptions, run: Run) {
    const { config, store } = options;
    this.#config = config;
    this.#store = store;
    this.#pool = options.pool;
    this.#run = run;
    this.#emit = options.onEvent ?? (() => {});
    this.#now = options.now ?? (() => performance.now());
    this.#date = options.date ?? (() => new Date());
    this.#start = this.#now();
    const signals = [this.#stopJobs.signal, ...(options.signal ? [options.signal] : [])];
    this.#signal = AbortSignal.any(signals);
    // Every job in flight listens to it.
    setMaxListeners(0, this.#signal);
    this.#funnel = new Funnel(store, run, config);
    this.#baselines = baselineProposals(config);
    this.#next = (store.candidates.lastIndex(run.id) ?? -this.#baselines.length - 1) + 1;
    this.#members = this.#storedMembers();
    this.#counts = countFunnel(store.candidates.funnel(run.id));
    const best = store.candidates.best(run.id);
    this.#best = best && better(null, { ...best, seconds: 0 });
  }

  async toTheEnd(): Promise<RunSummary> {
    this.#emit({
      ...{ type: 'started', run: this.#run, workers: this.#pool.workers },
      progress: this.#progress(),
    });
    try {
      await this.#loop();
    } finally {
      this.#stopJobs.abort();
    }
    const stopped =
      this.#next < this.#config.stop.proposals || this.#flight.size > 0
        ? 'interrupted'
        : 'finished';
    const time = { seconds: this.#seconds(), at: this.#date().toISOString() };
    this.#store.stop(this.#run, stopped, time);
    return {
      runId: this.#run.id,
      counts: this.#counts,
      best: this.#best,
      seconds: this.#seconds(),
      stopped,
    };
  }

  async #loop(): Promise<void> {
    for (;;) {
      this.#fill();
      if (this.#flight.size === 0) return;
      const ready = this.#flight.takeReady();
      if (ready.length > 0) {
        this.#commit(ready);
        await turn();
      } else if (this.#signal.aborted) return;
      else await this.#flight.first();
    }
  }

  /** Proposes as far as the lookahead allows. */
  #fill(): void {
    const { lookahead, stop } = this.#config;
    while (!this.#signal.aborted && this.#next < stop.proposals && this.#flight.size < lookahead) {
      const index = this.#next++;
      const { genome, origin } = this.#propose(index);
      const screening = this.#funnel.screen(index, { genome, origin }, this.#flight);
      this.#flight.add(screening, (key) => this.#evaluate(index, genome, key));
    }
  }

  #propose(index: number): Proposal {
    if (index < 0) return this.#baselines.at(index) as Proposal;
    const { algorithm, seed, lookahead, population: window } = this.#config;
    const population = populationAt(index, this.#members, { lookahead, window });
    return ALGORITHMS[algorithm](population, this.#config, randomStream('proposal', seed, index));
  }

  /** Tries twice: the first failure may be the worker's, the second one is the candidate's. */
  async #evaluate(index: number, genome: Genome, functionalKey: string): Promise<Landing> {
    const { protocol } = this.#config;
    const job = { genome, protocol, seed: evaluationSeed(protocol, functionalKey, 0) };
    for (let attempt = 1; ; attempt++) {
      try {
        return { result: await this.#pool.run(job, { signal: this.#signal }) };
      } catch (error) {
        if (this.#signal.aborted) return null;
        if (error instanceof UserError) return { failure: error };
        const message = error instanceof Error ? error.message : String(error);
        if (attempt === 2) return { result: crashed(message) };
        this.#emit({ type: 'retried', index, message });
      }
    }
  }

  #commit(settled: readonly Settled[]): void {
    const time = { seconds: this.#seconds(), at: this.#date().toISOString() };
    this.#store.commit(this.#run, settled, time);
    for (const candidate of settled) this.#absorb(candidate);
    this.#counts = addToFunnel(this.#counts, settled);
    this.#trimMembers();
    for (const candidate of settled)
      if (candidate.origin.kind === 'baseline')
        this.#emit({ type: 'baseline', name: candidate.origin.name, candidate });
    this.#emit({ type: 'committed', candidates: settled, progress: this.#progress() });
  }

  #absorb(candidate: Settled): void {
    const { index, genome, outcome, origin } = candidate;
    const member = canBeParent(origin, this.#config) ? memberOf(index, genome, outcome) : null;
    if (member) this.#members.push(member);
    this.#best = better(this.#best, candidate);
  }

  /** Members that no proposal to come can see: those beyond the window and the lookahead. */
  get #memory(): number {
    return this.#config.population + this.#config.lookahead;
  }

  #trimMembers(): void {
    // Not at every commit, so that the cost of a commit does not grow with the window.
    if (this.#members.length > 2 * this.#memory) this.#members = this.#members.slice(-this.#memory);
  }

  #storedMembers(): Member[] {
    const first = -this.#baselines.length;
    const limit = this.#memory + this.#baselines.length;
    return this.#store.candidates
      .youngest(this.#run.id, first, this.#next, limit)
      .filter(({ origin }) => canBeParent(origin, this.#config))
      .flatMap(({ index, genome, outcome }) => memberOf(index, genome, outcome) ?? []);
  }

  #seconds(): number {
    return this.#run.seconds + (this.#now() - this.#start) / 1000;
  }

  #progress(): Progress {
    return {
      counts: this.#counts,
      total: this.#config.stop.proposals,
      inFlight: this.#flight.size,
      best: this.#best,
      seconds: this.#seconds(),
    };
  }
}

const crashed = (message: string): JobResult => ({
  outcome: { outcome: 'crashed', message },
  seconds: 0,
});
