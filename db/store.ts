import { type Candidate, candidateRepository } from './candidates.ts';
import { explaining } from './errors.ts';
import { evaluationRepository } from './evaluations.ts';
import { leaderboardRepository } from './leaderboard.ts';
import { type Opened, openForReading, openForWriting } from './open.ts';
import { type NewRun, type Run, runRepository, type Stop } from './runs.ts';
import { statsRepository } from './stats.ts';

/** A candidate that is ready to be committed. */
export interface Settled extends Candidate {
  /** Time that a worker spent on it. */
  readonly seconds: number;
}

export interface StoreOptions {
  /** For the commands that only ask: works while another process writes. */
  readonly readonly?: boolean;
  /** The size, in pages of 4 KiB, beyond which the database refuses to grow as if the disk were full. */
  readonly maxPages?: number;
}

/** Opens the database, creating it unless it is only to be read. UserErrors say what is wrong with the file. */
export function openStore(path: string, { readonly = false, maxPages }: StoreOptions = {}): Store {
  return explaining(path, () => {
    const opened = readonly ? openForReading(path) : openForWriting(path);
    if (maxPages !== undefined) opened.db.pragma(`max_page_count = ${maxPages}`);
    return new Store(path, opened);
  });
}

/** Everything that evolayer remembers. It has one writer and any number of readers. */
export class Store {
  readonly path: string;
  readonly runs: ReturnType<typeof runRepository>;
  readonly candidates: ReturnType<typeof candidateRepository>;
  readonly evaluations: ReturnType<typeof evaluationRepository>;
  readonly leaderboard: ReturnType<typeof leaderboardRepository>;
  readonly stats: ReturnType<typeof statsRepository>;
  readonly #opened: Opened;

  constructor(path: string, opened: Opened) {
    this.path = path;
    this.#opened = opened;
    const { db } = opened;
    this.runs = runRepository(db);
    this.candidates = candidateRepository(db);
    this.evaluations = evaluationRepository(db);
    this.leaderboard = leaderboardRepository(db, this.candidates);
    this.stats = statsRepository(db);
  }

  /** Opens a run that sees what other runs have committed until now. */
  begin(run: NewRun): Run {
    const id = explaining(this.path, () => this.runs.begin(run));
    return this.runs.byId(id) as Run;
  }

  /**
   * Commits candidates, which must be the next ones of the run in order, with their evaluations: all of
   * them or none. `seconds` is the time spent on the run so far, `at` the time of day.
   */
  commit(run: Run, settled: readonly Settled[], { seconds, at }: { seconds: number; at: string }) {
    this.#write(() => {
      for (const candidate of settled) this.#insert(run, candidate, at);
      this.runs.stopped(run.id, null, seconds);
    });
  }

  /** Notes how a session of a run ended. */
  stop(run: Run, stop: Stop, seconds: number): void {
    this.#write(() => this.runs.stopped(run.id, stop, seconds));
  }

  /** Answers several questions from one state of the database, whatever is committed meanwhile. */
  snapshot<T>(ask: () => T): T {
    return explaining(this.path, () => this.#opened.db.transaction(ask).deferred());
  }

  close(): void {
    this.#opened.close();
  }

  #insert(run: Run, settled: Settled, at: string) {
    const { functionalKey, repeat, outcome, seconds } = settled;
    const candidate = this.candidates.insert(run.id, settled);
    if (functionalKey === null || repeat === null) return;
    const { protocolKey } = run;
    this.evaluations.insert({
      ...{ protocolKey, functionalKey, repeat, candidate, at, seconds, outcome },
    });
  }

  #write(work: () => void): void {
    explaining(this.path, () => this.#opened.db.transaction(work).immediate());
  }
}
