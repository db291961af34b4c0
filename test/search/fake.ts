import { createHash } from 'node:crypto';
import type { Candidate } from '../../db/candidates.ts';
import { openStore, type Store } from '../../db/store.ts';
import { UserError } from '../../src/errors.ts';
import type { Outcome } from '../../src/eval/outcome.ts';
import { below, randomStream } from '../../src/eval/random.ts';
import { resolveSearchConfig, type SearchConfig } from '../../src/search/config.ts';
import type { Pool, RunOptions } from '../../src/search/pool.ts';
import { type RunSummary, runSearch, type SearchOptions } from '../../src/search/run.ts';
import type { Job, JobResult } from '../../workers/messages.ts';

/** A configuration under which a few hundred proposals evolve a little; every evaluation is one that counts. */
export const configOf = (
  flags: { cache?: object; [setting: string]: unknown } = {},
): SearchConfig =>
  resolveSearchConfig({
    numerics: 'fake',
    flags: {
      ...{ seed: 7, stop: { proposals: 150 }, lookahead: 8, exploration: 0.6 },
      ...{ baselines: ['BN-ReLU', 'ReLU'], warmStart: [], rejectionAudit: 0, ...flags },
      cache: { audit: 0, ...flags.cache },
    },
  });

/** A number in [0, 1) that depends on `text` alone. */
export const unitOf = (text: string): number =>
  createHash('sha256').update(text).digest().readUInt32LE(0) / 2 ** 32;

/** What an evaluation of this genome "gives": three in five survive. */
export function fakeOutcome({ genome, protocol }: Job): Outcome {
  const text = JSON.stringify(genome);
  const anchor = protocol.anchors[0] as string;
  const luck = unitOf(text);
  if (luck < 0.2) return { outcome: 'diverged', anchor, step: 3 };
  if (luck < 0.4 && protocol.quality.steps > 0)
    return { outcome: 'low-quality', anchor, step: 100, accuracy: luck, minAccuracy: 0.4 };
  const perAnchor = protocol.anchors.map((name) => ({
    anchor: name,
    accuracy: unitOf(`${name} ${text}`),
    loss: 1 - luck,
    steps: protocol.steps,
    seconds: 0.5,
  }));
  return { outcome: 'evaluated', perAnchor };
}

interface Waiting extends RunOptions {
  readonly job: Job;
  readonly resolve: (result: JobResult) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A pool without threads: it works on `workers` jobs at a time, first come first served, and finishes them
 * in an order drawn from `scramble`, one per turn of the event loop.
 */
export class FakePool implements Pool {
  readonly workers: number;
  readonly jobs: Job[] = [];
  readonly #scramble: ReturnType<typeof randomStream>;
  readonly #evaluate: (job: Job) => Outcome;
  readonly #waiting: Waiting[] = [];
  #ticking = false;

  constructor(workers: number, scramble: string | number = 0, evaluate = fakeOutcome) {
    this.workers = workers;
    this.#scramble = randomStream('scramble', scramble);
    this.#evaluate = evaluate;
  }

  run(job: Job, options: RunOptions): Promise<JobResult> {
    this.jobs.push(job);
    return new Promise((resolve, reject) => {
      options.signal.throwIfAborted();
      this.#waiting.push({ ...options, job, resolve, reject });
      options.signal.addEventListener('abort', () => reject(options.signal.reason));
      this.#tick();
    });
  }

  async close(): Promise<void> {}

  #tick() {
    if (this.#ticking || this.#waiting.length === 0) return;
    this.#ticking = true;
    setImmediate(() => {
      this.#ticking = false;
      const running = Math.min(this.workers, this.#waiting.length);
      const [done] = this.#waiting.splice(below(running, this.#scramble), 1);
      if (done) this.#finish(done);
      this.#tick();
    });
  }

  /** What fails is tried once more, as pools do. */
  #finish({ job, resolve, reject, onFault }: Waiting) {
    for (let attempt = 1; ; attempt++) {
      try {
        return resolve({ outcome: this.#evaluate(job), seconds: 0.5 });
      } catch (error) {
        if (!(error instanceof Error) || error instanceof UserError) return reject(error);
        const { message } = error;
        onFault?.({ kind: 'thread', message });
        if (attempt === 2) return resolve({ outcome: { outcome: 'crashed', message }, seconds: 0 });
      }
    }
  }
}

/** All that a run decided, without times. */
export const trajectory = (store: Store, run: number): Candidate[] => [
  ...store.candidates.ofRun(run),
];

/** Runs a search in a database of its own, in memory unless told. */
export async function searchIn(
  options: Partial<SearchOptions> & { config: SearchConfig },
): Promise<{ store: Store; summary: RunSummary; candidates: Candidate[] }> {
  const store = options.store ?? openStore(':memory:');
  const summary = await runSearch({ pool: new FakePool(2), store, ...options });
  return { store, summary, candidates: trajectory(store, summary.runId) };
}
