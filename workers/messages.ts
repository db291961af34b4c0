import type { Dataset } from '../src/eval/data.ts';
import type { Fold } from '../src/eval/data-sources.ts';
import type { Outcome } from '../src/eval/outcome.ts';
import type { Protocol } from '../src/eval/protocol.ts';
import type { Genome } from '../src/graph/genome.ts';

/** One evaluation, as plain data that holds all that decides its outcome; it may be done twice without harm. */
export interface Job {
  readonly genome: Genome;
  /** Names the data set by the hash of its content. */
  readonly protocol: Protocol;
  /** See `evaluationSeed`. */
  readonly seed: string;
}

export interface JobResult {
  readonly outcome: Outcome;
  /** Time that the evaluation took. */
  readonly seconds: number;
}

/** A UserError as data: errors lose their class on the way between threads and processes. */
export interface Refusal {
  readonly message: string;
  readonly exitCode: 1 | 2;
}

/** What a thread answers. */
export type Reply =
  | { readonly result: JobResult }
  /** No job can succeed. */
  | { readonly refusal: Refusal }
  /** There was not enough memory outside of the JavaScript heap, which may be for what ran beside it. */
  | { readonly shortage: string };

/** What a thread is given when it starts. The data set's images and labels lie in shared memory. */
export interface WorkerData {
  readonly dataset: Dataset;
}

/** What a host is given when it starts, as JSON on its command line. */
export interface HostSettings {
  /** The host loads it itself: a process shares no memory with its parent. */
  readonly dataset: {
    readonly name: string;
    readonly pool: number;
    /** What the data set must have. */
    readonly hash?: string | undefined;
    readonly fold?: Fold | undefined;
  };
  /** Threads. */
  readonly workers: number;
  /** The file that the threads run. */
  readonly filename: string;
  /** The JavaScript heap that a thread may have. */
  readonly heapMegabytes: number;
}

/** How a thread failed at a job, other than by an answer. */
export interface ThreadFailure {
  readonly kind: 'thread' | 'out-of-memory';
  readonly message: string;
}

/** From the coordinator to a host. Jobs are numbered by the coordinator; no number comes twice. */
export type ToHost =
  | { readonly type: 'run'; readonly id: number; readonly job: Job }
  /** Ends the thread that runs the job; of no effect where it was answered already. */
  | { readonly type: 'cancel'; readonly id: number };

/** From a host to the coordinator. */
export type FromHost =
  /** Threads run. */
  | { readonly type: 'ready' }
  /** This host cannot work, nor could another one. */
  | { readonly type: 'refused'; readonly refusal: Refusal }
  | { readonly type: 'answered'; readonly id: number; readonly reply: Reply }
  | { readonly type: 'failed'; readonly id: number; readonly failure: ThreadFailure }
  /** The thread of a cancelled job is gone. */
  | { readonly type: 'cancelled'; readonly id: number };
