import type { Database } from 'better-sqlite3';
import { UserError } from '../src/errors.ts';
import type { Outcome } from '../src/eval/outcome.ts';
import { type Audit, auditRepository } from './audits.ts';
import { type Candidate, candidateRepository } from './candidates.ts';
import { courseRepository } from './course.ts';
import { explained, explaining, isDamage } from './errors.ts';
import { evaluationRepository, type NewEvaluation } from './evaluations.ts';
import { type Fault, faultRepository } from './faults.ts';
import { hashingRepository } from './hashing.ts';
import { historyRepository } from './history.ts';
import { leaderboardRepository } from './leaderboard.ts';
import { type Opened, openForReading, openForWriting } from './open.ts';
import { protocolRepository } from './protocols.ts';
import { keepRun, type Pruned, pruneRuns } from './prune.ts';
import { type NewRun, type Run, runRepository } from './runs.ts';
import { type SessionCost, type Stop, sessionRepository } from './sessions.ts';
import { statsRepository } from './stats.ts';
import { type Confirmation, type Trial, trialRepository } from './trials.ts';
import { workRepository } from './work.ts';

/** An evaluation that a candidate caused, as it ended: not what the candidate is worth, if others count too. */
export interface CausedEvaluation {
  /** Which one of its function, from 0. */
  readonly repeat: number;
  readonly outcome: Outcome;
  /** Time that a worker spent on it. */
  readonly seconds: number;
}

/** A candidate that is ready to be committed. */
export interface Settled extends Omit<Candidate, 'repeat'> {
  /** Null where it caused none. */
  readonly evaluation: CausedEvaluation | null;
  /** Null where it was not audited. */
  readonly audit: Audit | null;
}

/** What a run's session is known by, and what it has taken so far. */
export interface SessionTime extends SessionCost {
  readonly number: number;
}

/** What is noted with a commit. */
export interface Moment {
  /** Time spent on the run, all sessions together. */
  readonly seconds: number;
  /** The time of day, ISO 8601. */
  readonly at: string;
  readonly session?: SessionTime;
  /** What went wrong since the last commit. */
  readonly faults?: readonly Fault[];
}

export interface StoreOptions {
  /** For the commands that only ask: works while another process writes. */
  readonly readonly?: boolean;
  /** The size, in pages of 4 KiB, beyond which the database refuses to grow as if the disk were full. */
  readonly maxPages?: number;
  /** How long a statement blocks this process where another program holds a lock, in milliseconds. */
  readonly patience?: number;
}

/** Opens the database, creating it unless it is only to be read. UserErrors say what is wrong with the file. */
export function openStore(path: string, options: StoreOptions = {}): Store {
  const { readonly = false, maxPages, patience } = options;
  return explaining(path, () => {
    const opened = readonly ? openForReading(path) : openForWriting(path);
    if (maxPages !== undefined) opened.db.pragma(`max_page_count = ${maxPages}`);
    if (patience !== undefined) opened.db.pragma(`busy_timeout = ${patience}`);
    return new Store(path, opened);
  });
}

/** Opens the database for `use`, and closes it after that. UserErrors say what is wrong with the file, whatever finds it. */
export async function usingStore<T>(
  path: string,
  options: StoreOptions,
  use: (store: Store) => T | Promise<T>,
): Promise<T> {
  const store = openStore(path, options);
  try {
    return await use(store);
  } catch (error) {
    throw explained(error, path);
  } finally {
    store.close();
  }
}

/** Everything that evolayer remembers. It has one writer and any number of readers. */
export class Store {
  readonly path: string;
  readonly #opened: Opened;
  readonly #made = new Map<object, unknown>();

  constructor(path: string, opened: Opened) {
    this.path = path;
    this.#opened = opened;
  }

  get runs() {
    return this.#repository(runRepository);
  }
  get candidates() {
    return this.#repository(candidateRepository);
  }
  get evaluations() {
    return this.#repository(evaluationRepository);
  }
  get audits() {
    return this.#repository(auditRepository);
  }
  get sessions() {
    return this.#repository(sessionRepository);
  }
  get faults() {
    return this.#repository(faultRepository);
  }
  get leaderboard() {
    return this.#repository(leaderboardRepository);
  }
  get stats() {
    return this.#repository(statsRepository);
  }
  get course() {
    return this.#repository(courseRepository);
  }
  get work() {
    return this.#repository(workRepository);
  }
  get hashing() {
    return this.#repository(hashingRepository);
  }
  get history() {
    return this.#repository(historyRepository);
  }
  get protocols() {
    return this.#repository(protocolRepository);
  }
  get trials() {
    return this.#repository(trialRepository);
  }

  /** Made when it is first asked for: most commands need two or three, and each compiles its statements. */
  #repository<T>(make: (db: Database, store: this) => T): T {
    if (!this.#made.has(make)) this.#made.set(make, make(this.#opened.db, this));
    return this.#made.get(make) as T;
  }

  /** What to throw where there is no run of that number. */
  noRun(id: number): UserError {
    const last = this.runs.youngest();
    const there = last === null ? 'it has no runs yet' : `the last one is ${last}`;
    return new UserError(`There is no run ${id} in ${this.path}; ${there}.`);
  }

  /** Opens a run that sees what other runs have committed until now. */
  begin(run: NewRun): Run {
    const id = explaining(this.path, () => this.runs.begin(run));
    return this.runs.byId(id) as Run;
  }

  /** Opens a session of a run that goes on with `config`. Returns the session's number. */
  beginSession(
    run: Run,
    session: { readonly started: string; readonly workers: number; readonly config: object },
  ): number {
    return this.#write(() => {
      this.runs.resumed(run.id, session.config);
      return this.sessions.begin(run.id, session);
    });
  }

  /**
   * Commits candidates, which must be the next ones of the run in order, with their evaluations: all of
   * them or none.
   */
  commit(run: Run, settled: readonly Settled[], moment: Moment): void {
    this.#write(() => {
      for (const candidate of settled) this.#insert(run, candidate, moment.at);
      this.runs.stopped(run.id, null, moment.seconds);
      const { session, faults = [] } = moment;
      if (session) this.sessions.spent(run.id, session.number, session);
      for (const fault of faults) this.faults.insert(run.id, fault);
    });
  }

  /** Notes how a session of a run ended, and why. */
  stop(run: Run, stop: Stop, moment: Moment & { readonly detail?: string }): void {
    this.#write(() => {
      this.runs.stopped(run.id, stop, moment.seconds);
      const { at, session, detail = null, faults = [] } = moment;
      const how = { ended: at, stopped: stop, detail };
      if (session) this.sessions.end(run.id, session.number, { ...session, ...how });
      for (const fault of faults) this.faults.insert(run.id, fault);
    });
  }

  /**
   * Stores another evaluation of a function that was scored under the protocol before, beside the first
   * one, on which searches rely. One that is already there stays as it is.
   */
  saveEvaluation(evaluation: Omit<NewEvaluation, 'candidate'>): void {
    const { protocolKey, functionalKey } = evaluation;
    this.#write(() => {
      const first = this.evaluations.first(protocolKey, functionalKey);
      if (first === null) throw new Error(`internal: ${functionalKey} was not scored before`);
      this.evaluations.insert({ ...evaluation, candidate: first });
    });
  }

  /** Stores a trial, with the protocol that its key names. One that is there stays. */
  saveTrial(trial: Trial, protocol: object): void {
    this.#write(() => {
      this.runs.insertProtocol(trial.protocolKey, protocol);
      this.trials.insert(trial);
    });
  }

  /** Notes what trials said of functions that a run found. */
  saveConfirmations(run: number, confirmations: readonly Confirmation[], at: string): void {
    this.#write(() => {
      for (const confirmation of confirmations) this.trials.confirm(run, confirmation, at);
    });
  }

  /**
   * Deletes runs, but for what other runs rely on; with `dryRun` it only says what would go. Gives the
   * space back to the file system.
   */
  prune(runs: readonly number[], { dryRun = false } = {}): Pruned {
    const pruned = this.#write(() => pruneRuns(this.#opened.db, runs), { undo: dryRun });
    if (!dryRun) explaining(this.path, () => this.#opened.db.exec('VACUUM'));
    return pruned;
  }

  /**
   * Writes a copy of one run, with all that it relies on, as a database of its own at `path`, where nothing
   * may be. Errors call it `name`.
   */
  exportRun(run: number, path: string, name = path): void {
    explaining(name, () => {
      try {
        this.#opened.db.prepare('VACUUM INTO ?').run(path);
      } catch (error) {
        // Of the original; anything else is about the copy.
        throw isDamage(error) ? explained(error, this.path) : error;
      }
      const copy = openForWriting(path);
      try {
        copy.db.transaction(() => keepRun(copy.db, run)).immediate();
        copy.db.exec('VACUUM');
      } finally {
        copy.close();
      }
    });
  }

  /** Answers several questions from one state of the database, whatever is committed meanwhile. */
  snapshot<T>(ask: () => T): T {
    return explaining(this.path, () => this.#opened.db.transaction(ask).deferred());
  }

  close(): void {
    this.#opened.close();
  }

  #insert(run: Run, settled: Settled, at: string) {
    const { functionalKey, evaluation, outcome, audit } = settled;
    const repeat = evaluation?.repeat ?? null;
    const candidate = this.candidates.insert(run.id, { ...settled, repeat });
    const { protocolKey } = run;
    if (functionalKey === null) return;
    const of = { protocolKey, functionalKey, candidate, at };
    if (evaluation) this.evaluations.insert({ ...of, ...evaluation });
    else if (outcome.outcome === 'evaluated') this.evaluations.met(protocolKey, functionalKey);
    if (audit) this.audits.insert({ ...of, ...audit });
  }

  #write<T>(work: () => T, { undo = false } = {}): T {
    const { db } = this.#opened;
    let result: T | undefined;
    const transaction = db.transaction(() => {
      result = work();
      if (undo) throw UNDO;
    });
    return explaining(this.path, () => {
      try {
        transaction.immediate();
      } catch (error) {
        if (error !== UNDO) throw error;
      }
      return result as T;
    });
  }
}

/** Thrown to take back what a transaction did. */
const UNDO = new Error('internal: a transaction that is taken back');
