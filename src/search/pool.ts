import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { Piscina } from 'piscina';
import type { Job, JobResult, Reply, WorkerData } from '../../workers/messages.ts';
import { UserError } from '../errors.ts';
import type { Dataset } from '../eval/data.ts';
import { packageRoot } from '../eval/package-root.ts';

/** Something that evaluates jobs, in any order, as many at a time as it can. */
export interface Pool {
  /** How many jobs it works on at a time. */
  readonly workers: number;
  /**
   * Rejects with a UserError where no job can succeed, with any other error where this one failed, and
   * with an AbortError after `signal`.
   */
  run(job: Job, options: { readonly signal: AbortSignal }): Promise<JobResult>;
  close(): Promise<void>;
}

/** The compiled entry of the worker threads: Node cannot load the TypeScript source everywhere. */
function workerFile(): string {
  const file = join(packageRoot(), 'dist', 'workers', 'evaluate.js');
  if (!existsSync(file)) throw new Error(`internal: ${file} is missing; build the project first`);
  return file;
}

/** What a thread gets: TypedArrays over shared memory are passed without copies. */
export interface ThreadPoolOptions {
  readonly dataset: Dataset;
  /** Threads; as many as there are processors unless told. */
  readonly workers?: number;
  /** The file that the threads run: it posts a message when it is loaded; its default export takes a job and returns a reply. */
  readonly filename?: string;
}

/** A pool of threads on this machine. */
export const threadPool = (options: ThreadPoolOptions): Pool => new ThreadPool(options);

class ThreadPool implements Pool {
  readonly workers: number;
  readonly #threads: Piscina<Job, Reply>;
  readonly #waiting = new Set<(failure: UserError) => void>();
  /** True once a thread has loaded its file, which it says with a message. */
  #started = false;
  #failure: UserError | undefined;

  constructor({
    dataset,
    workers = availableParallelism(),
    filename = workerFile(),
  }: ThreadPoolOptions) {
    const workerData: WorkerData = { dataset };
    this.workers = workers;
    this.#threads = new Piscina({
      filename,
      workerData,
      minThreads: workers,
      maxThreads: workers,
    });
    this.#threads.on('message', () => {
      this.#started = true;
    });
    this.#threads.on('error', (error: Error) => {
      // The answer to a job that was given up while the thread worked on it.
      if (!error.message.startsWith('Unexpected message from Worker')) this.#fail(error);
    });
  }

  async run(job: Job, { signal }: { readonly signal: AbortSignal }): Promise<JobResult> {
    const reply = await this.#reply(job, signal);
    if ('result' in reply) return reply.result;
    throw new UserError(reply.refusal.message, reply.refusal.exitCode);
  }

  close(): Promise<void> {
    return this.#threads.destroy();
  }

  #reply(job: Job, signal: AbortSignal): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#failure) throw this.#failure;
      this.#waiting.add(reject);
      this.#threads
        .run(job, { signal })
        .then(resolve, async (error: Error) => {
          // That a thread has started may be told a moment after its first answer.
          await setImmediate();
          if (!this.#started && !signal.aborted) this.#fail(error);
          reject(error);
        })
        .finally(() => this.#waiting.delete(reject));
    });
  }

  /** Threads that cannot even start are no fault of the candidates. */
  #fail(cause: Error) {
    this.#failure ??= new UserError(`The worker threads do not start: ${cause.message}`, 1, {
      cause,
    });
    for (const reject of this.#waiting) reject(this.#failure);
  }
}
