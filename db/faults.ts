import type { Database } from 'better-sqlite3';

/**
 * What can go wrong without ending a run: a worker thread or the process of all threads that failed, was
 * killed, did not answer or ran out of memory; and a database that another program had locked.
 */
export type FaultKind = 'thread' | 'host' | 'killed' | 'hung' | 'out-of-memory' | 'locked';

export interface Fault {
  /** The proposal that was evaluated; null where it concerned none. */
  readonly index: number | null;
  /** ISO 8601. */
  readonly at: string;
  readonly kind: FaultKind;
  readonly message: string;
}

export function faultRepository(db: Database) {
  const insert = db.prepare(
    'INSERT INTO faults (run, idx, at, kind, message) VALUES (?, ?, ?, ?, ?)',
  );
  const ofRun = db.prepare(
    'SELECT idx AS "index", at, kind, message FROM faults WHERE run = ? ORDER BY id',
  );

  return {
    /** Call inside a transaction. */
    insert: (run: number, { index, at, kind, message }: Fault): void =>
      void insert.run(run, index, at, kind, message),

    /** In the order in which they were noticed. */
    ofRun: (run: number): Fault[] => ofRun.all(run) as Fault[],
  };
}
