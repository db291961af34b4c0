import type { Dataset } from '../src/eval/data.ts';
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

/** What a thread answers. Errors lose their class on the way between threads, so a UserError travels as data. */
export type Reply =
  | { readonly result: JobResult }
  | { readonly refusal: { readonly message: string; readonly exitCode: 1 | 2 } };

/** What a thread is given when it starts. The data set's images and labels lie in shared memory. */
export interface WorkerData {
  readonly dataset: Dataset;
}
