import type { Store } from '../../db/store.ts';
import type { SearchConfig } from './config.ts';
import { ParetoFront } from './front.ts';
import type { Best, FunnelCounts } from './progress.ts';
import { type Limits, RateWindow, secondsLeft } from './rates.ts';
import type { SearchEvent } from './run.ts';

/** A known layer of the run; `fitness` is null where it was rejected. */
export interface ZooScore {
  readonly name: string;
  readonly fitness: number | null;
}

/** A run at one moment. */
export interface Snapshot {
  readonly run: number;
  readonly workers: number;
  readonly anchors: readonly string[];
  readonly limits: Limits;
  /** How long to go without a better one; what is good enough. */
  readonly patience: number | undefined;
  readonly target: number | undefined;
  readonly counts: FunnelCounts;
  readonly inFlight: number;
  readonly best: Best | null;
  /** Seconds spent on the run, earlier sessions included, and on this session. */
  readonly seconds: number;
  readonly sessionSeconds: number;
  readonly perSecond: { readonly proposals: number; readonly evaluations: number };
  /** Infinite where the end cannot be foretold. */
  readonly secondsLeft: number;
  readonly zoo: readonly ZooScore[];
  /** Different functions that no other dominates, and the best accuracy of these per anchor. */
  readonly front: { readonly size: number; readonly extremes: readonly number[] };
  /** Retries and failures, earlier sessions included. */
  readonly faults: number;
}

/** What a run had before this session. */
export type History = Pick<Store, 'stats' | 'faults'> | null;

type Started = Extract<SearchEvent, { type: 'started' }>;
type Committed = Extract<SearchEvent, { type: 'committed' }>;

/**
 * Follows a run through its events. It keeps what a display shows and nothing else, so it does not grow
 * with the run; clocks are told, in seconds.
 */
export class Standing {
  readonly #started: Started;
  readonly #start: number;
  readonly #proposals: RateWindow;
  readonly #evaluations: RateWindow;
  readonly #front = new ParetoFront();
  readonly #zoo = new Map<string, number | null>();
  #progress: Started['progress'];
  /** When that was told. */
  #told: number;
  #faults = 0;

  constructor(started: Started, now: number, history: History) {
    const { progress, run } = started;
    this.#started = started;
    this.#progress = progress;
    this.#start = now;
    this.#told = now;
    this.#proposals = new RateWindow(now, progress.counts.proposals);
    this.#evaluations = new RateWindow(now, progress.counts.evaluated);
    if (history) this.#recall(run.id, history);
  }

  absorb(event: SearchEvent, now: number): void {
    if (event.type === 'baseline') this.#zoo.set(event.name, event.candidate.fitness);
    if (event.type === 'fault') this.#faults++;
    if (event.type === 'committed') this.#commit(event, now);
  }

  /** Leaves the last `seconds` out of the rates: the process did not run. */
  slept(seconds: number): void {
    this.#proposals.skip(seconds);
    this.#evaluations.skip(seconds);
  }

  at(now: number): Snapshot {
    const { run, workers } = this.#started;
    const { counts, inFlight, best } = this.#progress;
    const { stop, protocol } = run.config as SearchConfig;
    const { patience, fitness: target } = stop;
    const { anchors } = protocol;
    const limits = limitsOf(stop);
    const sessionSeconds = now - this.#start;
    const seconds = this.#progress.seconds + now - this.#told;
    const perSecond = {
      proposals: this.#proposals.perSecond(now),
      evaluations: this.#evaluations.perSecond(now),
    };
    const reached = { proposals: counts.proposals, evaluations: counts.evaluated, seconds };
    return {
      ...{ run: run.id, workers, anchors, limits, patience, target, counts, inFlight, best },
      ...{ seconds, sessionSeconds, perSecond },
      secondsLeft: secondsLeft(limits, reached, perSecond),
      zoo: [...this.#zoo].map(([name, fitness]) => ({ name, fitness })),
      front: { size: this.#front.members.length, extremes: this.#front.extremes() },
      faults: this.#faults,
    };
  }

  #commit({ candidates, progress }: Committed, now: number): void {
    this.#progress = progress;
    this.#told = now;
    this.#proposals.add(now, progress.counts.proposals);
    this.#evaluations.add(now, progress.counts.evaluated);
    for (const { index, functionalKey, outcome } of candidates)
      if (index >= 0 && functionalKey !== null && outcome.outcome === 'evaluated')
        this.#front.add({
          ...{ index, functionalKey },
          accuracies: outcome.perAnchor.map(({ accuracy }) => accuracy),
        });
  }

  #recall(run: number, { stats, faults }: Exclude<History, null>): void {
    for (const { name, fitness } of stats.baselines(run)) this.#zoo.set(name, fitness);
    this.#faults = faults.ofRun(run).length;
    for (const one of stats.scored(run).functions) this.#front.add(one);
  }
}

/** What a rate can foretell of where a run stops. */
const limitsOf = ({ proposals, evaluations, seconds }: SearchConfig['stop']): Limits => ({
  ...{ proposals, evaluations, seconds },
});
