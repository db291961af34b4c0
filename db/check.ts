import type { Database } from 'better-sqlite3';

/** A candidate as it is stored, not interpreted: what a damaged database holds may be anything. */
export interface RawCandidate {
  readonly idx: number;
  readonly genome: string;
  readonly structuralKey: string;
  readonly functionalKey: string | null;
  readonly origin: string;
  readonly parent: number | null;
  readonly baseline: string | null;
  readonly repeat: number | null;
  readonly outcome: string;
  readonly numbers: string;
  readonly fitness: number | null;
}

/** A run as it is stored, with the text of its protocol, null where that is not there. */
export interface RawRun {
  readonly id: number;
  readonly config: string;
  readonly protocolKey: string;
  readonly protocol: string | null;
}

/** References of one table to rows of another that are not there. */
export interface Dangling {
  readonly table: string;
  readonly parent: string;
  readonly count: number;
}

export interface StoredAccuracy {
  readonly anchor: string;
  readonly accuracy: number;
}

const CANDIDATES = `
  SELECT idx, genome, structural_key AS structuralKey, functional_key AS functionalKey, origin, parent,
    baseline, repeat, outcome, numbers, fitness
  FROM candidates WHERE run = ? ORDER BY idx`;

/** Evaluations of a run's candidates that are not about what the candidate says of itself. */
const STRAY = ['evaluations', 'rejections']
  .map(
    (table) => `
  SELECT idx FROM ${table} e JOIN candidates c ON c.id = e.candidate JOIN runs ON runs.id = c.run
  WHERE c.run = $run AND (c.functional_key IS NOT e.functional_key
    OR (c.repeat IS NOT e.repeat AND NOT (c.repeat = 0 AND e.repeat > 0))
    OR runs.protocol_key IS NOT e.protocol_key)`,
  )
  .join(' UNION ');

/** The questions of a check. Each statement is prepared when it is asked: a table may be missing. */
export function checkRepository(db: Database) {
  return {
    /** What SQLite finds wrong with the file itself, 20 findings at most. */
    integrity(): string[] {
      const found = db.pragma('integrity_check(20)') as { integrity_check: string }[];
      return found
        .flatMap((row) => row.integrity_check.split('\n'))
        .filter((message) => message !== 'ok' && !message.startsWith('*** in database'));
    },

    dangling: (): Dangling[] =>
      db
        .prepare(`
        SELECT "table", parent, count(*) AS count FROM pragma_foreign_key_check GROUP BY 1, 2`)
        .all() as Dangling[],

    tables: (): string[] =>
      db.prepare(`SELECT name FROM sqlite_schema WHERE type = 'table'`).pluck().all() as string[],

    runs: (): RawRun[] =>
      db
        .prepare(`
        SELECT id, config, protocol_key AS protocolKey, protocol
        FROM runs LEFT JOIN protocols ON key = protocol_key WHERE remnant = 0 ORDER BY id`)
        .all() as RawRun[],

    count: (run: number): number =>
      db.prepare('SELECT count(*) FROM candidates WHERE run = ?').pluck().get(run) as number,

    candidates: (run: number): IterableIterator<RawCandidate> =>
      db.prepare(CANDIDATES).iterate(run) as IterableIterator<RawCandidate>,

    /** Indices of candidates whose evaluation is another one's. */
    stray: (run: number): number[] => db.prepare(STRAY).pluck().all({ run }) as number[],

    /** Functions that a run evaluated more than once without saying that it repeats. */
    evaluatedTwice: (run: number): string[] =>
      db
        .prepare(`
        SELECT functional_key FROM candidates WHERE run = ? AND repeat IS NOT NULL
        GROUP BY functional_key, repeat HAVING count(*) > 1`)
        .pluck()
        .all(run) as string[],

    /** Answers what is stored of one evaluation; prepared once, for it is asked often. */
    evaluation() {
      const scores = db.prepare(`
        SELECT anchor, accuracy FROM evaluations
        WHERE protocol_key = ? AND functional_key = ? AND repeat = ? ORDER BY position`);
      const rejected = db
        .prepare(`
        SELECT count(*) FROM rejections
        WHERE protocol_key = ? AND functional_key = ? AND repeat = ? AND outcome = ?`)
        .pluck();
      return {
        scores: (...key: [string, string, number]): StoredAccuracy[] =>
          scores.all(...key) as StoredAccuracy[],
        isRejected: (...key: [string, string, number, string]): boolean =>
          (rejected.get(...key) as number) > 0,
      };
    },
  };
}
