import { availableParallelism } from 'node:os';
import type {
  FromHost,
  HostSettings,
  Job,
  JobResult,
  Refusal,
  Reply,
  ThreadFailure,
} from '../../workers/messages.ts';
import { UserError } from '../errors.ts';
import { compiledWorker, type HostEnd, HostProcess, howItEnded } from './host-process.ts';
import { type PoolFault, Suspicion } from './suspects.ts';

export interface RunOptions {
  readonly signal: AbortSignal;
  /** Hears of every fault, also of those after which the job is tried again. */
  readonly onFault?: (fault: PoolFault) => void;
}

/** Something that evaluates jobs, in any order, as many at a time as it can. */
export interface Pool {
  /** How many jobs it works on at a time. */
  readonly workers: number;
  /**
   * A job that nothing can evaluate ends as `crashed`. Rejects with a UserError where no job can succeed,
   * and with the signal's reason after `signal`.
   */
  run(job: Job, options: RunOptions): Promise<JobResult>;
  close(): Promise<void>;
}

export interface HostPoolOptions {
  readonly dataset: HostSettings['dataset'];
  /** Threads; as many as there are processors unless told. */
  readonly workers?: number;
  /** How long after the protocol's timeout an answer may take, in seconds; unless told, as long again, from 2 to 30. */
  readonly grace?: number;
  /** How long the end of a thread may take before the whole host is ended, in seconds. */
  readonly patience?: number;
  /** How long the start of a host may take, in seconds. */
  readonly startLimit?: number;
  /** The JavaScript heap of a thread; the networks lie outside of it. */
  readonly heapMegabytes?: number;
  /** The file that the threads run: it posts a message when it is loaded; its default export takes a job and returns a reply. */
  readonly filename?: string;
}

/**
 * Threads on this machine, in a process of their own: whatever a candidate does to its thread or to that
 * process, the coordinator lives on, replaces it, and finds out which candidate it was. `suspects.ts` says
 * how often each is tried.
 */
export const hostPool = (options: HostPoolOptions): Pool => new HostPool(options);

/** Hosts in a row that may end before they are ready. */
const STARTS = 3;

/** A timer that comes this late says that this process did not run. */
const STOPPED_MS = 5000;

class Task {
  readonly suspicion = new Suspicion();
  /** True once its caller knows how it ended. */
  settled = false;
  readonly id: number;
  readonly job: Job;
  readonly options: RunOptions;
  readonly resolve: (result: JobResult) => void;
  readonly reject: (reason: unknown) => void;

  constructor(id: number, job: Job, options: RunOptions, caller: Pick<Task, 'resolve' | 'reject'>) {
    this.id = id;
    this.job = job;
    this.options = options;
    this.resolve = caller.resolve;
    this.reject = caller.reject;
  }
}

/** A task that a host works on. */
interface Running {
  readonly task: Task;
  /** Of its deadline; then of the end of its thread. */
  timer: NodeJS.Timeout;
  /** Set when its thread is to end: because it did not answer, or because nobody waits for it. */
  ending: 'hung' | 'given up' | null;
}

/** A host, with what the pool has to know about it. */
interface Current {
  readonly process: HostProcess;
  readonly startTimer: NodeJS.Timeout;
  ready: boolean;
  /** True where its end is the pool's own doing. */
  ended: boolean;
}

class HostPool implements Pool {
  readonly workers: number;
  readonly #settings: HostSettings;
  readonly #grace: number | undefined;
  readonly #patience: number;
  readonly #startLimit: number;
  readonly #tasks = new Set<Task>();
  /** Never more than `workers`, so that the end of a host leaves no more suspects than that. */
  readonly #running = new Map<number, Running>();
  /** Both in the order of the tasks' numbers. */
  readonly #waiting: Task[] = [];
  readonly #suspects: Task[] = [];
  #host: Current | null = null;
  #failedStarts = 0;
  #failure: Error | null = null;
  #next = 0;

  constructor(options: HostPoolOptions) {
    const { dataset, workers = availableParallelism(), heapMegabytes = 512 } = options;
    const { filename = compiledWorker('evaluate') } = options;
    const { grace, patience = 2, startLimit = 120 } = options;
    this.workers = workers;
    this.#grace = grace;
    this.#patience = patience;
    this.#startLimit = startLimit;
    const { name, pool, hash, fold } = dataset;
    this.#settings = { dataset: { name, pool, hash, fold }, workers, filename, heapMegabytes };
    this.#startHost();
  }

  run(job: Job, options: RunOptions): Promise<JobResult> {
    return new Promise((resolve, reject) => {
      const { signal } = options;
      signal.throwIfAborted();
      if (this.#failure) throw this.#failure;
      const task = new Task(this.#next++, job, options, {
        resolve: (result) => this.#settle(task, giveUp) && resolve(result),
        reject: (reason) => this.#settle(task, giveUp) && reject(reason),
      });
      const giveUp = () => this.#giveUp(task);
      signal.addEventListener('abort', giveUp);
      this.#tasks.add(task);
      this.#waiting.push(task);
      this.#pump();
    });
  }

  async close(): Promise<void> {
    await this.#stop(new Error('internal: the pool was closed'));
  }

  /** Returns true the first time. */
  #settle(task: Task, onAbort: () => void): boolean {
    if (task.settled) return false;
    task.settled = true;
    task.options.signal.removeEventListener('abort', onAbort);
    return this.#tasks.delete(task);
  }

  #giveUp(task: Task): void {
    task.reject(task.options.signal.reason);
    const running = this.#running.get(task.id);
    if (running) this.#endThread(running, 'given up');
  }

  /** Ends all work; what comes later fails in the same way. */
  async #stop(failure: Error): Promise<void> {
    this.#failure ??= failure;
    for (const task of this.#tasks) task.reject(failure);
    for (const { timer } of this.#running.values()) clearTimeout(timer);
    await this.#endHost();
  }

  // Hosts.

  #startHost(): void {
    const process = new HostProcess(this.#settings, {
      heard: (message) => this.#hear(message),
      ended: (end) => this.#hostEnded(end),
    });
    const startTimer = setTimeout(() => process.kill(), 1000 * this.#startLimit);
    this.#host = { process, startTimer, ready: false, ended: false };
  }

  #hear(message: FromHost): void {
    if (message.type === 'ready') this.#hostReady();
    else if (message.type === 'refused') this.#refused(message.refusal);
    else if (message.type === 'answered') this.#answered(message.id, message.reply);
    else if (message.type === 'failed') this.#failed(message.id, message.failure);
    else this.#threadEnded(message.id);
    this.#pump();
  }

  #refused({ message, exitCode }: Refusal): void {
    void this.#stop(new UserError(message, exitCode));
  }

  #hostReady(): void {
    if (!this.#host) return;
    clearTimeout(this.#host.startTimer);
    this.#host.ready = true;
    this.#failedStarts = 0;
  }

  async #endHost(): Promise<void> {
    if (!this.#host) return;
    this.#host.ended = true;
    await this.#host.process.kill();
  }

  #hostEnded(end: HostEnd): void {
    const host = this.#host;
    if (!host) return;
    this.#host = null;
    clearTimeout(host.startTimer);
    const running = [...this.#running.values()];
    this.#running.clear();
    for (const { timer } of running) clearTimeout(timer);
    if (this.#failure) return;
    if (!host.ready && ++this.#failedStarts === STARTS) return void this.#stop(cannotStart(end));
    for (const one of running) this.#afterHost(one, end, host.ended);
    this.#pump();
  }

  /** What the end of a host means for a task that ran in it. */
  #afterHost({ task, ending }: Running, end: HostEnd, ownDoing: boolean): void {
    if (task.settled) return;
    if (ending === 'hung') this.#judge(task, 'hung', this.#noAnswer(task));
    else if (ownDoing) this.#queue(task);
    else if (end.signal === 'SIGKILL') this.#blame(task, 'killed', 'the worker process was killed');
    else this.#blame(task, 'host', `the worker process ${howItEnded(end)}`, end.lastWords);
  }

  // Tasks.

  #pump(): void {
    if (this.#failure || !(firstOf(this.#waiting) ?? firstOf(this.#suspects))) return;
    if (!this.#host) this.#startHost();
    if (!this.#host?.ready) return;
    for (let task = this.#nextTask(); task; task = this.#nextTask()) this.#start(task);
  }

  /** Suspects come first, and nothing runs beside them. */
  #nextTask(): Task | undefined {
    const isAlone = [...this.#running.values()].some(({ task }) => task.suspicion.alone);
    if (isAlone) return undefined;
    if (firstOf(this.#suspects))
      return this.#running.size === 0 ? this.#suspects.shift() : undefined;
    const isFree = firstOf(this.#waiting) && this.#running.size < this.workers;
    return isFree ? this.#waiting.shift() : undefined;
  }

  #start(task: Task): void {
    const running: Running = { task, timer: this.#deadline(task), ending: null };
    this.#running.set(task.id, running);
    this.#host?.process.run(task.id, task.job);
  }

  /** Where the coordinator was stopped as well (Ctrl-Z), the time does not count. */
  #deadline(task: Task): NodeJS.Timeout {
    const milliseconds = 1000 * this.#secondsFor(task);
    const end = performance.now() + milliseconds;
    return setTimeout(() => {
      const running = this.#running.get(task.id);
      if (!running) return;
      if (performance.now() - end > STOPPED_MS) running.timer = this.#deadline(task);
      else this.#isLate(running);
    }, milliseconds);
  }

  #secondsFor({ job }: Task): number {
    const { timeout } = job.protocol;
    return timeout + (this.#grace ?? Math.min(30, Math.max(2, timeout)));
  }

  #noAnswer(task: Task): string {
    return `no answer within ${this.#secondsFor(task)} s`;
  }

  /** Takes a task out of the running ones. */
  #take(id: number): Running | undefined {
    const running = this.#running.get(id);
    if (running) clearTimeout(running.timer);
    this.#running.delete(id);
    return running;
  }

  #answered(id: number, reply: Reply): void {
    const task = this.#take(id)?.task;
    if (!task) return;
    if ('result' in reply) task.resolve(reply.result);
    else if ('shortage' in reply) this.#blame(task, 'out-of-memory', reply.shortage);
    else task.reject(new UserError(reply.refusal.message, reply.refusal.exitCode));
  }

  #failed(id: number, { kind, message }: ThreadFailure): void {
    const task = this.#take(id)?.task;
    if (task) this.#blame(task, kind, message);
  }

  #isLate(running: Running): void {
    const { task } = running;
    task.options.onFault?.({ kind: 'hung', message: this.#noAnswer(task) });
    this.#endThread(running, 'hung');
  }

  /** A thread that native code does not let go takes its host along. */
  #endThread(running: Running, ending: Running['ending']): void {
    if (running.ending) return;
    running.ending = ending;
    clearTimeout(running.timer);
    running.timer = setTimeout(() => void this.#endHost(), 1000 * this.#patience);
    this.#host?.process.cancel(running.task.id);
  }

  #threadEnded(id: number): void {
    const running = this.#take(id);
    if (running?.ending === 'hung') this.#judge(running.task, 'hung', this.#noAnswer(running.task));
  }

  /** Tells of a fault and draws the consequence. `detail` may differ from time to time. */
  #blame(task: Task, kind: PoolFault['kind'], message: string, detail = ''): void {
    if (task.settled) return;
    task.options.onFault?.({ kind, message: detail ? `${message} (${detail})` : message });
    this.#judge(task, kind, message);
  }

  /** `message` may be stored as how the candidate ended, so it is the same every time. */
  #judge(task: Task, kind: PoolFault['kind'], message: string): void {
    if (task.settled) return;
    if (task.suspicion.judge(kind) === 'crashed') task.resolve(crashed(message));
    else this.#queue(task);
  }

  #queue(task: Task): void {
    const queue = task.suspicion.alone ? this.#suspects : this.#waiting;
    queue.push(task);
    queue.sort((a, b) => a.id - b.id);
  }
}

/** The first task that somebody waits for; those before it are dropped. */
function firstOf(tasks: Task[]): Task | undefined {
  while (tasks[0]?.settled) tasks.shift();
  return tasks[0];
}

const crashed = (message: string): JobResult => ({
  outcome: { outcome: 'crashed', message },
  seconds: 0,
});

function cannotStart(end: HostEnd): UserError {
  const words = end.code !== null && end.lastWords ? `: ${end.lastWords}` : '';
  return new UserError(
    `The worker process does not start: it ${howItEnded(end)} ${STARTS} times in a row${words}.`,
    1,
  );
}
