/*
 * The entry of a host: a process of its own that runs the worker threads, so that a crash in native code
 * takes it along and not the run. It lives as long as the channel to the coordinator.
 */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { UserError } from '../src/errors.ts';
import { loadDataset } from '../src/eval/data.ts';
import { prepareEnvironment } from '../src/eval/tfjs/backends.ts';
import type {
  FromHost,
  HostSettings,
  Job,
  Refusal,
  Reply,
  ThreadFailure,
  ToHost,
  WorkerData,
} from './messages.ts';

/** What the system's out-of-memory killer adds to this process's share of the memory, in thousandths. */
const OOM_SCORE = 500;

const tell = (message: FromHost): void => void process.send?.(message);

// Nothing less ends a process one of whose threads is stuck in native code.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
// Ctrl-C reaches the whole process group; what becomes of the host is the coordinator's decision.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

/** Where memory runs out, the system ends the host, which is replaced, and not the coordinator. */
function volunteer(): void {
  if (process.platform !== 'linux') return;
  try {
    writeFileSync('/proc/self/oom_score_adj', String(OOM_SCORE));
  } catch (error) {
    process.stderr.write(`The out-of-memory killer is not told: ${(error as Error).message}\n`);
  }
}

class Host {
  readonly #heapMegabytes: number;
  readonly #threads: Piscina<Job, Reply>;
  readonly #running = new Map<number, AbortController>();
  /** True once a thread has loaded its file, which it says with a message. */
  #started = false;

  constructor({ dataset, workers, filename, heapMegabytes }: HostSettings) {
    const workerData: WorkerData = { dataset: loadDataset(dataset.name, dataset) };
    this.#heapMegabytes = heapMegabytes;
    this.#threads = new Piscina({
      ...{ filename, workerData, minThreads: workers, maxThreads: workers },
      resourceLimits: { maxOldGenerationSizeMb: heapMegabytes },
      // Else a thread waits for its next job without ever coming back to its event loop, where what native
      // code keeps of closed networks is freed: 20 kB for every candidate.
      atomics: 'disabled',
    });
    this.#threads.on('message', () => {
      if (!this.#started) tell({ type: 'ready' });
      this.#started = true;
    });
    this.#threads.on('error', (error: Error) => {
      // The answer to a job that was given up while the thread worked on it.
      if (!error.message.startsWith('Unexpected message from Worker')) this.#threadsEnd(error);
    });
    process.on('message', (message: ToHost) => {
      if (message.type === 'run') void this.#run(message.id, message.job);
      else void this.#cancel(message.id);
    });
  }

  async #run(id: number, job: Job): Promise<void> {
    const controller = new AbortController();
    this.#running.set(id, controller);
    try {
      const reply = await this.#threads.run(job, { signal: controller.signal });
      tell({ type: 'answered', id, reply });
    } catch (error) {
      if (!controller.signal.aborted)
        tell({ type: 'failed', id, failure: failureOf(error, this.#heapMegabytes) });
    } finally {
      this.#running.delete(id);
    }
  }

  async #cancel(id: number): Promise<void> {
    const before = this.#threads.threads;
    this.#running.get(id)?.abort();
    // Aborting has taken the job's thread out of the pool; it ends when its native code lets it.
    const left = new Set<Worker>(this.#threads.threads);
    await Promise.all(before.filter((thread) => !left.has(thread)).map((one) => once(one, 'exit')));
    tell({ type: 'cancelled', id });
  }

  /** Piscina replaces no thread that fails before it has worked. */
  async #threadsEnd(error: Error): Promise<void> {
    // That a thread has started may be told a moment later.
    await setImmediate();
    if (!this.#started) return refuse(`The worker threads do not start: ${error.message}`, 1);
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}

const refuse = (message: string, exitCode: Refusal['exitCode']): void =>
  tell({ type: 'refused', refusal: { message, exitCode } });

/** In words that are the same every time: they may be stored as how a candidate ended. */
function failureOf(error: unknown, heapMegabytes: number): ThreadFailure {
  if (!(error instanceof Error)) return { kind: 'thread', message: String(error) };
  if ((error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY')
    return {
      kind: 'out-of-memory',
      message: `the thread needed more than ${heapMegabytes} MB of heap`,
    };
  const exit = /^worker exited with code: (\d+)$/.exec(error.message);
  return {
    kind: 'thread',
    message: exit ? `the thread ended itself with exit code ${exit[1]}` : error.message,
  };
}

volunteer();
prepareEnvironment(process.env);
try {
  new Host(JSON.parse(process.argv[2] as string) as HostSettings);
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  refuse(error.message, error.exitCode);
}
