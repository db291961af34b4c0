import type { Store } from '../../db/store.ts';
import { readingIfThere } from '../reading/open.ts';
import type { SearchConfig } from '../search/config.ts';
import { type Cost, secondsOfKnown } from './cost.ts';

/** What becomes of proposals, as shares of all; the rest costs no training. */
export interface Shares {
  readonly trained: number;
  /** Rejected by the quality test, or after it. */
  readonly failed: number;
  /** Their loss is soon no number. */
  readonly diverged: number;
}

/** What an estimate goes by. */
export interface Experience {
  readonly shares: Shares;
  /** Of the database, per proposal. */
  readonly bytes: number;
  /** The runs that it comes from; none where it is assumed. */
  readonly runs: readonly number[];
}

/**
 * What 1,200 proposals of the preset `quick` came to. Runs that begin with random layers train fewer, long
 * ones fewer still, since more and more is known from the cache.
 */
export const ASSUMED: Experience = {
  shares: { trained: 0.077, failed: 0.195, diverged: 0.152 },
  bytes: 880,
  runs: [],
};

/** Shorter runs say little. */
const ENOUGH = 100;

/** What earlier runs in the database came to: those under the same protocol, else all. */
export function experienceIn(db: string, protocolKey: string): Experience {
  const found = readingIfThere(db, (store) => {
    const runs = store.runs.list().filter(({ proposals }) => proposals >= ENOUGH);
    const same = runs.filter((run) => run.protocolKey === protocolKey);
    return runs.length > 0 ? sumUp(store, same.length > 0 ? same : runs) : null;
  });
  return found ?? ASSUMED;
}

function sumUp(store: Store, runs: readonly { id: number; proposals: number }[]): Experience {
  const proposals = runs.reduce((sum, run) => sum + run.proposals, 0);
  const counts = runs.flatMap(({ id }) => [...store.stats.paidOutcomes(id)]);
  const shareOf = (is: (outcome: string) => boolean) =>
    counts.reduce((sum, [outcome, count]) => sum + (is(outcome) ? count : 0), 0) / proposals;
  const { bytes, candidates } = store.stats.size();
  return {
    shares: {
      trained: shareOf((outcome) => outcome === 'evaluated'),
      failed: shareOf((outcome) => outcome !== 'evaluated' && outcome !== 'diverged'),
      diverged: shareOf((outcome) => outcome === 'diverged'),
    },
    bytes: bytes / candidates,
    runs: runs.map(({ id }) => id),
  };
}

/** What a search will probably come to; a target or patience may end it sooner. */
export interface Expected {
  readonly proposals: number;
  /** Baselines included. */
  readonly trained: number;
  readonly failed: number;
  /** With all workers busy. */
  readonly seconds: number;
  /** What the database grows by. */
  readonly bytes: number;
}

/** Of the steps before the quality test, how many a candidate takes to diverge. */
const DIVERGES_AFTER = 0.15;

export function expectedOf(
  config: Pick<SearchConfig, 'stop' | 'baselines' | 'warmStart'>,
  cost: Pick<Cost, 'failedTestSeconds' | 'trainingSeconds' | 'proposalSeconds'>,
  workers: number,
  { shares, bytes }: Experience,
): Expected {
  const { stop, baselines, warmStart } = config;
  const known = new Set([...baselines, ...warmStart]).size;
  const work =
    shares.trained * cost.trainingSeconds +
    (shares.failed + DIVERGES_AFTER * shares.diverged) * cost.failedTestSeconds;
  // Proposals are made by one thread, training by all workers.
  const secondsEach = Math.max(work / workers, cost.proposalSeconds);
  const before = secondsOfKnown(config, cost.trainingSeconds, workers);
  const proposals = Math.floor(
    Math.min(
      stop.proposals,
      stop.evaluations === undefined ? Number.POSITIVE_INFINITY : stop.evaluations / shares.trained,
      stop.seconds === undefined
        ? Number.POSITIVE_INFINITY
        : Math.max(0, stop.seconds - before) / secondsEach,
    ),
  );
  return {
    proposals,
    trained: known + Math.round(proposals * shares.trained),
    failed: Math.round(proposals * (shares.failed + shares.diverged)),
    seconds: Math.min(stop.seconds ?? Number.POSITIVE_INFINITY, before + proposals * secondsEach),
    bytes: Math.round(bytes * proposals),
  };
}
