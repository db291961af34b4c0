import type { Database } from 'better-sqlite3';

/** A protocol, and how much was done under it. */
export interface KnownProtocol {
  readonly key: string;
  /** Functions that were scored under it. */
  readonly scored: number;
}

export function protocolRepository(db: Database) {
  const ofRun = db.prepare('SELECT protocol_key FROM runs WHERE remnant = 0 AND id = ?').pluck();
  const last = db
    .prepare('SELECT protocol_key FROM runs WHERE remnant = 0 ORDER BY id DESC LIMIT 1')
    .pluck();
  const all = db.prepare(`
    SELECT key, (SELECT count(*) FROM standings WHERE protocol_key = key) AS scored
    FROM protocols ORDER BY key`);

  const byAge = db
    .prepare('SELECT protocol_key FROM runs WHERE remnant = 0 GROUP BY 1 ORDER BY max(id) DESC')
    .pluck();

  const runs = db.prepare(
    'SELECT id, protocol_key AS protocol FROM runs WHERE remnant = 0 ORDER BY id',
  );

  return {
    /** Every run with the key of its protocol, oldest first. */
    runs: () => runs.all() as { readonly id: number; readonly protocol: string }[],

    /** The keys of all protocols of runs, that of the youngest run first. */
    byAge: (): string[] => byAge.all() as string[],

    /** The key of a run's protocol; null where there is no such run. */
    ofRun: (run: number): string | null => (ofRun.get(run) as string | undefined) ?? null,

    /** The key of the youngest run's protocol. */
    ofLastRun: (): string | null => (last.get() as string | undefined) ?? null,

    all: (): KnownProtocol[] => all.all() as KnownProtocol[],
  };
}
