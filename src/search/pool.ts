import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
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
  /** The file that the threads run; its default export takes a job and returns a reply. */
  readonly filename?: string;
}

/** A pool of threads on this machine. */
export function threadPool({
  dataset,
  workers = availableParallelism(),
  filename = workerFile(),
}: ThreadPoolOptions): Pool {
  const data: WorkerData = { dataset };
  const threads = new Piscina<Job, Reply>({
    filename,
    minThreads: workers,
    maxThreads: workers,
    workerData: data,
  });
  return {
    workers,
    async run(job, { signal }) {
      const reply = await threads.run(job, { signal });
      if ('result' in reply) return reply.result;
      throw new UserError(reply.refusal.message, reply.refusal.exitCode);
    },
    close: () => threads.destroy(),
  };
}
