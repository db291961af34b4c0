import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore, type Store } from '../db/store.ts';
import { CURVE_POINTS } from '../src/eval/curve.ts';
import { resolveSearchConfig, type SearchConfig } from '../src/search/config.ts';
import type { Pool } from '../src/search/pool.ts';
import { type RunSummary, runSearch, type SearchEvent } from '../src/search/run.ts';
import type { Job, JobResult } from '../workers/messages.ts';

/** Its length is what matters. */
const CURVE = Array.from({ length: CURVE_POINTS }, () => 1);

/** A score that follows from the candidate's function alone; every candidate survives. */
function simulated({ protocol, seed }: Job): JobResult {
  const digest = createHash('sha256').update(seed).digest();
  const perAnchor = protocol.anchors.map((anchor, i) => ({
    ...{ anchor, accuracy: digest.readUInt32LE(4 * i) / 2 ** 32, loss: 1 },
    ...{ steps: protocol.steps, seconds: 1, curve: CURVE },
  }));
  return { outcome: { outcome: 'evaluated', perAnchor }, seconds: 1 };
}

/** A pool whose evaluations cost nothing. */
export const TRIVIAL: Pool = {
  workers: 64,
  run: async (job) => simulated(job),
  close: async () => {},
};

/** Workers that sleep through every evaluation. */
export class Sleepers implements Pool {
  readonly workers: number;
  readonly #milliseconds: number;
  readonly #waiting: (() => void)[] = [];
  #busy = 0;
  #done = 0;

  constructor(workers: number, milliseconds: number) {
    this.workers = workers;
    this.#milliseconds = milliseconds;
  }

  /** Evaluations that have ended. */
  get done(): number {
    return this.#done;
  }

  run(job: Job, { signal }: { readonly signal: AbortSignal }): Promise<JobResult> {
    return new Promise((resolve, reject) => {
      const begin = () => {
        this.#busy++;
        const timer = setTimeout(() => {
          signal.removeEventListener('abort', giveUp);
          this.#done++;
          this.#busy--;
          resolve(simulated(job));
          this.#next();
        }, this.#milliseconds);
        const giveUp = () => {
          clearTimeout(timer);
          reject(signal.reason);
        };
        signal.addEventListener('abort', giveUp, { once: true });
      };
      this.#waiting.push(begin);
      this.#next();
    });
  }

  async close(): Promise<void> {}

  #next(): void {
    if (this.#busy < this.workers) this.#waiting.shift()?.();
  }
}

export const simulatedConfig = (flags: object): SearchConfig =>
  resolveSearchConfig({ flags, numerics: 'native/simulated' });

interface InFile {
  readonly onEvent?: (event: SearchEvent) => void;
  /** Called before the search begins. */
  readonly prepare?: (store: Store) => void;
  /** Where the database is to stay; by default it is deleted. */
  readonly path?: string;
}

/** Runs a search in a database of its own, in a file. */
export async function searchInFile(
  config: SearchConfig,
  pool: Pool,
  { onEvent = () => {}, prepare = () => {}, path }: InFile = {},
): Promise<RunSummary> {
  const folder = mkdtempSync(join(tmpdir(), 'evolayer-bench-'));
  const store = openStore(path ?? join(folder, 'bench.db'));
  prepare(store);
  try {
    return await runSearch({ config, store, pool, onEvent });
  } finally {
    store.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
