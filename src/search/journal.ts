import { isLocked } from '../../db/errors.ts';
import type { Fault } from '../../db/faults.ts';
import type { Run } from '../../db/runs.ts';
import type { SessionCost, Stop } from '../../db/sessions.ts';
import type { Moment, Settled, Store } from '../../db/store.ts';
import { UserError } from '../errors.ts';
import type { Clock } from './clock.ts';

/** How long a locked database is tried again: in general, and for a note that can be done without. */
const LOCK_PATIENCE_MS = 60_000;
const SHORT_PATIENCE_MS = 2_000;
const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 1_000;

interface Patience {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Called when the first attempt meets a lock. */
  readonly onLocked: (message: string) => void;
  readonly milliseconds?: number;
}

/**
 * Writes to a database that another program may have locked, trying again in growing intervals. Throws
 * what the last attempt threw; null where `signal` ended the waiting.
 */
export async function patiently<T>(write: () => T, options: Patience): Promise<T | null> {
  const { clock, signal, onLocked, milliseconds = LOCK_PATIENCE_MS } = options;
  const start = clock.now();
  for (let pause = 0; ; pause = Math.min(2 * pause || FIRST_PAUSE_MS, LONGEST_PAUSE_MS)) {
    if (pause > 0) await clock.wait(pause, signal);
    if (pause > 0 && signal.aborted) return null;
    try {
      return write();
    } catch (error) {
      if (!isLocked(error) || clock.now() - start >= milliseconds) throw error;
      if (pause === 0) onLocked((error as Error).message);
    }
  }
}

export interface JournalOptions {
  readonly store: Store;
  readonly run: Run;
  readonly clock: Clock;
  /** Ends the waiting for a lock. */
  readonly signal: AbortSignal;
  readonly onFault: (fault: Fault) => void;
  /** What making proposals has taken in this session. */
  readonly cost: () => Omit<SessionCost, 'seconds'>;
}

/** Writes one session of a run into the database. */
export class Journal {
  readonly #options: JournalOptions;
  readonly #start: number;
  #number = 0;
  /** Not written yet. */
  #faults: Fault[] = [];

  constructor(options: JournalOptions) {
    this.#options = options;
    this.#start = options.clock.now();
  }

  /** Time spent on the run, all sessions together. */
  get seconds(): number {
    return this.#options.run.seconds + this.#sessionSeconds;
  }

  /** Opens the session. False where the signal ended the waiting for a lock. */
  async begin(workers: number, config: object): Promise<boolean> {
    const { store, run, clock } = this.#options;
    const started = clock.date().toISOString();
    const number = await this.#write(() => store.beginSession(run, { started, workers, config }));
    this.#number = number ?? 0;
    return number !== null;
  }

  /** Notes a fault, which is written with the next commit. */
  note(fault: Omit<Fault, 'at'>): void {
    const noted = { ...fault, at: this.#options.clock.date().toISOString() };
    this.#faults.push(noted);
    this.#options.onFault(noted);
  }

  /** Commits candidates. False where the signal ended the waiting for a lock. */
  async commit(settled: readonly Settled[]): Promise<boolean> {
    const { store, run } = this.#options;
    const done = await this.#write(() => {
      store.commit(run, settled, this.#moment());
      this.#faults = [];
      return true;
    });
    return done === true;
  }

  /**
   * Notes how the session ended, unless the database stays locked: then it counts as killed, which loses
   * nothing.
   */
  async end(stopped: Stop, detail: string): Promise<void> {
    const { store, run } = this.#options;
    const { signal } = new AbortController();
    const work = () => store.stop(run, stopped, { ...this.#moment(), detail });
    try {
      await this.#write(work, { signal, milliseconds: SHORT_PATIENCE_MS });
    } catch (error) {
      if (!isLocked(error)) throw error;
    }
  }

  /** Notes that the session failed, where the database can still be written. */
  async fail(error: unknown): Promise<void> {
    try {
      await this.end('failed', error instanceof Error ? error.message : String(error));
    } catch (another) {
      // The failure that ended the session counts, and it may be this one.
      if (!(another instanceof UserError)) throw another;
    }
  }

  get #sessionSeconds(): number {
    return (this.#options.clock.now() - this.#start) / 1000;
  }

  #moment(): Moment {
    const spent = { seconds: this.#sessionSeconds, ...this.#options.cost() };
    const session = { number: this.#number, ...spent };
    const at = this.#options.clock.date().toISOString();
    return { seconds: this.seconds, at, session, faults: this.#faults };
  }

  #write<T>(work: () => T, changes: Partial<Patience> = {}): Promise<T | null> {
    const { clock, signal } = this.#options;
    const onLocked = (message: string) => this.note({ index: null, kind: 'locked', message });
    return patiently(work, { clock, signal, onLocked, ...changes });
  }
}
