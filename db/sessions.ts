import type { Database } from 'better-sqlite3';

/** How a session of a run ended. */
export type Stop = 'finished' | 'interrupted' | 'failed';

/** What a session has taken, up to its last commit. */
export interface SessionCost {
  readonly seconds: number;
  /** Of the coordinating thread: seconds spent on the keys of proposals, and how often that took a probe. */
  readonly screening: number;
  readonly probes: number;
  /** Draws that were not proposed: children that computed what their parent does. */
  readonly neutral: number;
  /** Draws that were not proposed: genomes that computed what the run had proposed too often. */
  readonly tabu: number;
}

/** One time that somebody worked on a run. */
export interface Session extends SessionCost {
  readonly run: number;
  /** From 1. */
  readonly number: number;
  /** ISO 8601. */
  readonly started: string;
  /** Null while it lasts, and where it was killed. */
  readonly ended: string | null;
  readonly workers: number;
  readonly stopped: Stop | null;
  /** Why it ended: what it reached, the signal, or what went wrong. */
  readonly detail: string | null;
}

/** How a session ends. */
export interface SessionEnd extends SessionCost {
  readonly ended: string;
  readonly stopped: Stop;
  readonly detail: string | null;
}

export function sessionRepository(db: Database) {
  const insert = db
    .prepare(`
    INSERT INTO sessions (run, number, started, workers)
    SELECT $run, ifnull(max(number), 0) + 1, $started, $workers FROM sessions WHERE run = $run
    RETURNING number`)
    .pluck();
  const ofRun = db.prepare('SELECT * FROM sessions WHERE run = ? ORDER BY number');
  const COST = `seconds = $seconds, screening = $screening, probes = $probes,
    neutral = $neutral, tabu = $tabu`;
  const spend = db.prepare(`UPDATE sessions SET ${COST} WHERE run = $run AND number = $number`);
  const end = db.prepare(`
    UPDATE sessions SET ended = $ended, ${COST}, stopped = $stopped, detail = $detail
    WHERE run = $run AND number = $number`);

  return {
    /** Call inside a transaction. Returns the session's number. */
    begin: (run: number, session: { readonly started: string; readonly workers: number }): number =>
      insert.get({ run, ...session }) as number,

    /** Notes what a session has taken so far. */
    spent: (run: number, number: number, cost: SessionCost): void =>
      void spend.run({ ...cost, run, number }),

    end: (run: number, number: number, how: SessionEnd): void =>
      void end.run({ ...how, run, number }),

    /** Oldest first. */
    ofRun: (run: number): Session[] => ofRun.all(run) as Session[],
  };
}
