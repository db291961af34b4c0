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
  /** Null too where an older version of evolayer wrote the database. */
  readonly evaluations: number | null;
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
  /** Of the candidate that it is stored for; null where that is not there. */
  readonly run: number | null;
}

/** A candidate of the same function that comes before another one in its run. */
export interface Predecessor {
  readonly outcome: string;
  readonly numbers: string;
  readonly evaluations: number;
}

const CANDIDATES = (evaluations: string) => `
  SELECT idx, genome, structural_key AS structuralKey, functional_key AS functionalKey, origin, parent,
    baseline, repeat, outcome, numbers, ${evaluations} AS evaluations, fitness
  FROM candidates WHERE run = ? ORDER BY idx`;

/** Evaluations of a run's candidates that are not about what the candidate says of itself. */
const STRAY = ['evaluations', 'rejections']
  .map(
    (table) => `
  SELECT idx FROM ${table} e JOIN candidates c ON c.id = e.candidate JOIN runs ON runs.id = c.run
  WHERE c.run = $run AND (c.functional_key IS NOT e.functional_key
    OR c.repeat IS NULL OR c.repeat > e.repeat
    OR runs.protocol_key IS NOT e.protocol_key)`,
  )
  .join(' UNION ');

const STRAY_AUDITS = `
  SELECT idx FROM audits a JOIN candidates c ON c.id = a.candidate JOIN runs ON runs.id = c.run
  WHERE c.run = $run AND (c.functional_key IS NOT a.functional_key
    OR runs.protocol_key IS NOT a.protocol_key
    OR CASE kind WHEN 'hit' THEN c.repeat IS NOT NULL ELSE NOT EXISTS (
      SELECT 1 FROM rejections r
      WHERE r.protocol_key = a.protocol_key AND r.functional_key = a.functional_key
        AND r.candidate = c.id AND r.repeat = c.repeat AND r.outcome IN ('low-quality', 'unstable'))
    END)`;

/** The questions of a check. Each statement is prepared when it is asked: a table may be missing. */
export function checkRepository(db: Database) {
  const has = (name: string): boolean =>
    db.prepare('SELECT 1 FROM pragma_table_info(?)').get(name) !== undefined;
  const countsEvaluations = (): boolean =>
    db.prepare(`SELECT 1 FROM pragma_table_info('candidates') WHERE name = 'evaluations'`).get() !==
    undefined;

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
      db
        .prepare(CANDIDATES(countsEvaluations() ? 'evaluations' : 'NULL'))
        .iterate(run) as IterableIterator<RawCandidate>,

    /** Indices of candidates whose evaluation is another one's. */
    stray: (run: number): number[] => db.prepare(STRAY).pluck().all({ run }) as number[],

    /** Indices of candidates whose audit is another one's, or that did not end as what it audits. */
    strayAudits: (run: number): number[] =>
      has('audits') ? (db.prepare(STRAY_AUDITS).pluck().all({ run }) as number[]) : [],

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
        SELECT anchor, accuracy, (SELECT run FROM candidates WHERE id = candidate) AS run
        FROM evaluations
        WHERE protocol_key = ? AND functional_key = ? AND repeat = ? ORDER BY position`);
      const rejected = db
        .prepare(`
        SELECT count(*) FROM rejections
        WHERE protocol_key = $protocol AND functional_key = $key AND repeat = $repeat
          AND outcome = ifnull($outcome, outcome)`)
        .pluck();
      const before = db.prepare(`
        SELECT outcome, numbers, evaluations FROM candidates
        WHERE functional_key = ? AND run = ? AND idx < ? ORDER BY idx DESC LIMIT 1`);
      return {
        scores: (...key: [string, string, number]): StoredAccuracy[] =>
          scores.all(...key) as StoredAccuracy[],
        /** With an outcome: in this way. */
        isRejected: (
          protocol: string,
          key: string,
          repeat: number,
          outcome: string | null = null,
        ): boolean => (rejected.get({ protocol, key, repeat, outcome }) as number) > 0,

        /** Null where there is none. */
        before: (key: string, run: number, idx: number): Predecessor | null =>
          (before.get(key, run, idx) as Predecessor | undefined) ?? null,
      };
    },
  };
}
