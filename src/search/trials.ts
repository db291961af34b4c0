import { setMaxListeners } from 'node:events';
import type { Store } from '../../db/store.ts';
import type { TrialPlace } from '../../db/trials.ts';
import { type Protocol, protocolKey } from '../eval/protocol.ts';
import type { Genome } from '../graph/genome.ts';
import type { Pool } from './pool.ts';
import { poolFor } from './spread-pool.ts';

/** A layer that is compared with others. */
export interface Contestant {
  readonly functionalKey: string;
  readonly genome: Genome;
}

export interface TrialProgress {
  readonly done: number;
  readonly of: number;
}

export interface TrialOptions {
  readonly store: Store;
  readonly contestants: readonly Contestant[];
  /** Each trial is of one contestant under one protocol from one seed. */
  readonly protocols: readonly Protocol[];
  /** Seeds from 0; from one of them all contestants see the same batches, and their networks begin alike. */
  readonly seeds: number;
  readonly workers: number;
  readonly signal: AbortSignal;
  /** Hears how many trials are there, at first and after each. */
  readonly onProgress?: (progress: TrialProgress) => void;
  readonly openPool?: typeof poolFor;
}

/** A trial that is to be made. */
interface Planned extends TrialPlace {
  readonly protocol: Protocol;
  readonly genome: Genome;
}

/** Decides weights and batches; layers have no part in it. */
const trialSeed = (protocol: Protocol, seed: number): string => `${protocol.seed}/trial/${seed}`;

/**
 * Trains every contestant under every protocol from every seed, but for trials that the database has. Each
 * is stored when it has ended, so that what was interrupted goes on from there. Returns how many ended by
 * the machine's fault (a timeout, a crash) and were not stored. Rejects with the signal's reason after
 * `signal`, and with a UserError where no trial can succeed.
 */
export async function runTrials(options: TrialOptions): Promise<number> {
  const { store, onProgress } = options;
  const planned = planOf(options);
  const missing = planned.filter((trial) => store.trials.outcome(trial) === null);
  const progress = { done: planned.length - missing.length, of: planned.length };
  onProgress?.({ ...progress });
  let failed = 0;
  // Every training that is waited for listens.
  setMaxListeners(0, options.signal);
  for (const trials of byDataset(missing))
    await withPool(trials[0]!.protocol, options, async (pool) => {
      const one = async (trial: Planned) => {
        if (!(await make(pool, trial, options))) failed++;
        progress.done++;
        onProgress?.({ ...progress });
      };
      await Promise.all(trials.map(one));
    });
  return failed;
}

/** One protocol after the other, and seed after seed, so that what is interrupted compares all alike. */
const planOf = ({ protocols, contestants, seeds }: TrialOptions): Planned[] =>
  protocols.flatMap((protocol) => {
    const key = protocolKey(protocol);
    return Array.from({ length: seeds }, (_, seed) =>
      contestants.map((one) => ({ ...one, protocol, protocolKey: key, seed })),
    ).flat();
  });

/** A pool has one data set. */
function byDataset(trials: readonly Planned[]): Planned[][] {
  const groups = new Map<string, Planned[]>();
  for (const trial of trials) {
    const name = JSON.stringify(trial.protocol.dataset);
    const group = groups.get(name);
    if (group) group.push(trial);
    else groups.set(name, [trial]);
  }
  return [...groups.values()];
}

async function withPool(
  protocol: Protocol,
  { workers, openPool = poolFor }: TrialOptions,
  work: (pool: Pool) => Promise<void>,
): Promise<void> {
  const pool = openPool(protocol, workers);
  try {
    await work(pool);
  } finally {
    await pool.close();
  }
}

/** Returns false where it ended by the machine's fault. */
async function make(
  pool: Pool,
  { protocol, genome, protocolKey, functionalKey, seed }: Planned,
  { store, signal }: TrialOptions,
): Promise<boolean> {
  const job = { genome, protocol, seed: trialSeed(protocol, seed) };
  const { outcome, seconds } = await pool.run(job, { signal });
  if (outcome.outcome === 'timeout' || outcome.outcome === 'crashed') return false;
  const trial = {
    protocolKey,
    functionalKey,
    seed,
    outcome,
    seconds,
    at: new Date().toISOString(),
  };
  store.saveTrial(trial, protocol);
  return true;
}
