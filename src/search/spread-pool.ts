import { availableParallelism } from 'node:os';
import type { Job, JobResult } from '../../workers/messages.ts';
import type { Protocol } from '../eval/protocol.ts';
import { wantsProcess } from '../eval/tfjs/backends.ts';
import { hostPool, type Pool, type RunOptions } from './pool.ts';

/** Workers for a protocol on this machine: threads of one process, or a process each where its engine wants that. */
export function poolFor(
  { dataset, numerics }: Pick<Protocol, 'dataset' | 'numerics'>,
  workers = availableParallelism(),
): Pool {
  if (!wantsProcess(numerics)) return hostPool({ dataset, workers });
  return new SpreadPool(Array.from({ length: workers }, () => hostPool({ dataset, workers: 1 })));
}

/** Several pools of one worker each as one pool: a job goes to the first that is free. */
class SpreadPool implements Pool {
  readonly workers: number;
  readonly #pools: readonly Pool[];
  readonly #free: Pool[];
  readonly #waiting: ((pool: Pool) => void)[] = [];

  constructor(pools: readonly Pool[]) {
    this.workers = pools.length;
    this.#pools = pools;
    this.#free = [...pools];
  }

  async run(job: Job, options: RunOptions): Promise<JobResult> {
    const pool =
      this.#free.pop() ?? (await new Promise<Pool>((resolve) => this.#waiting.push(resolve)));
    try {
      return await pool.run(job, options);
    } finally {
      const next = this.#waiting.shift();
      if (next) next(pool);
      else this.#free.push(pool);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#pools.map((pool) => pool.close()));
  }
}
