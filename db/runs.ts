import type { Database } from 'better-sqlite3';
import type { Stop } from './sessions.ts';

export interface Run {
  readonly id: number;
  /** ISO 8601. */
  readonly started: string;
  readonly config: unknown;
  readonly protocolKey: string;
  /** The last candidate of other runs that this one knows of; what came later is not there for it. */
  readonly horizon: number;
  /** Time spent on it, all sessions together. */
  readonly seconds: number;
  /** How its last session ended; null while that lasts, and where it was killed. */
  readonly stopped: Stop | null;
  /** Committed proposals, baselines not counted. */
  readonly proposals: number;
  /** Those of them with a fitness, cache hits included. */
  readonly evaluated: number;
  readonly bestFitness: number | null;
}

interface Row {
  id: number;
  started: string;
  config: string;
  protocol_key: string;
  horizon: number;
  seconds: number;
  stopped: Stop | null;
  proposals: number;
  evaluated: number;
  best_fitness: number | null;
}

const fromRow = (row: Row): Run => ({
  id: row.id,
  started: row.started,
  config: JSON.parse(row.config),
  protocolKey: row.protocol_key,
  horizon: row.horizon,
  seconds: row.seconds,
  stopped: row.stopped,
  proposals: row.proposals,
  evaluated: row.evaluated,
  bestFitness: row.best_fitness,
});

// Proposals are committed in order and without gaps, so the last index tells their number.
const select = (which: string) => `
  SELECT runs.*,
    (SELECT ifnull(max(idx), -1) + 1 FROM candidates WHERE run = runs.id AND idx >= 0) AS proposals,
    ifnull(evaluated, 0) AS evaluated, best_fitness
  FROM runs LEFT JOIN (
    SELECT run, count(*) AS evaluated, max(fitness) AS best_fitness FROM candidates
    WHERE outcome = 'evaluated' AND idx >= 0 AND run ${which} GROUP BY run) ON run = runs.id
  WHERE remnant = 0 AND runs.id ${which}`;

export interface NewRun {
  readonly started: string;
  readonly config: object;
  readonly protocolKey: string;
  readonly protocol: object;
}

export function runRepository(db: Database) {
  const insertProtocol = db.prepare(
    'INSERT OR IGNORE INTO protocols (key, protocol) VALUES (?, ?)',
  );
  const insert = db.prepare(`
    INSERT INTO runs (started, config, protocol_key, horizon)
    SELECT ?, ?, ?, ifnull(max(id), 0) FROM candidates`);
  const byId = db.prepare(select('= $id'));
  const all = db.prepare(`${select('IN (SELECT id FROM runs WHERE remnant = 0)')} ORDER BY id`);
  const youngest = db
    .prepare('SELECT id FROM runs WHERE remnant = 0 ORDER BY id DESC LIMIT 1')
    .pluck();
  const open = db.prepare('SELECT id, started FROM runs WHERE remnant = 0 AND stopped IS NULL');
  const stop = db.prepare('UPDATE runs SET stopped = ?, seconds = ? WHERE id = ?');
  const configure = db.prepare('UPDATE runs SET config = ?, stopped = NULL WHERE id = ?');
  const protocol = db.prepare('SELECT protocol FROM protocols WHERE key = ?').pluck();
  const protocols = db.prepare('SELECT key, protocol FROM protocols ORDER BY key');

  const begin = db.transaction(({ started, config, protocolKey, protocol }: NewRun): number => {
    insertProtocol.run(protocolKey, JSON.stringify(protocol));
    return Number(insert.run(started, JSON.stringify(config), protocolKey).lastInsertRowid);
  });

  return {
    /** Opens a run that sees what other runs have committed until now. Returns its id. */
    begin: (run: NewRun): number => begin.immediate(run),

    byId(id: number): Run | null {
      const row = byId.get({ id }) as Row | undefined;
      return row ? fromRow(row) : null;
    },

    /** Oldest first. */
    list: (): Run[] => (all.all() as Row[]).map(fromRow),

    /** Its id; null where there are none. */
    youngest: (): number | null => (youngest.get() as number | undefined) ?? null,

    /** Those that last, or were killed. */
    open: (): Pick<Run, 'id' | 'started'>[] => open.all() as Pick<Run, 'id' | 'started'>[],

    /** Notes how a session ended, or with null that one begins. */
    stopped(id: number, stopped: Stop | null, seconds: number): void {
      stop.run(stopped, seconds, id);
    },

    /** Stores what the run goes on with when a session begins. */
    resumed(id: number, config: object): void {
      configure.run(JSON.stringify(config), id);
    },

    /** Call inside a transaction. */
    insertProtocol(key: string, protocol: object): void {
      insertProtocol.run(key, JSON.stringify(protocol));
    },

    /** The protocol behind a key, as it was stored. */
    protocol(key: string): unknown {
      const text = protocol.get(key) as string | undefined;
      return text === undefined ? null : JSON.parse(text);
    },

    protocols: (): { key: string; protocol: unknown }[] =>
      (protocols.all() as { key: string; protocol: string }[]).map(({ key, protocol }) => ({
        key,
        protocol: JSON.parse(protocol),
      })),
  };
}
