import type { Database } from 'better-sqlite3';
import { FILL_STANDINGS } from './standings.ts';

/** What deleting runs takes away, and what has to stay. */
export interface Pruned {
  readonly candidates: number;
  /** Functions under a protocol whose evaluations go. */
  readonly evaluations: number;
  /** Candidates that stay, out of sight, because runs that began later know of them. */
  readonly kept: number;
}

/** Marks runs as gone. */
const MARK = 'UPDATE runs SET remnant = 1 WHERE id = ?';

/*
 * A run sees, of all other runs, the candidates and evaluations up to its horizon: by structure, and by
 * function, of which the last proposal counts. So of the runs that are gone one candidate of each structure
 * and precision and all evaluations stay, up to the largest horizon of a run that is not; and for each such
 * horizon the last candidate of each function. Their numbers stay as they are, and are never given again.
 */
const KEEP = `
  CREATE TEMP TABLE kept AS
  WITH horizon AS (SELECT ifnull(max(horizon), 0) AS last FROM main.runs WHERE remnant = 0),
  gone AS (
    SELECT c.id, structural_key, functional_key, outcome, protocol_key,
      json_extract(config, '$.cache.mantissaBits') AS bits
    FROM main.candidates AS c JOIN main.runs ON runs.id = c.run
    WHERE remnant = 1 AND c.id <= (SELECT last FROM horizon)
  )
  SELECT min(id) AS id FROM gone WHERE outcome <> 'batch-dependent' GROUP BY structural_key, bits
  UNION SELECT max(gone.id) FROM gone
    JOIN (SELECT DISTINCT protocol_key, horizon FROM main.runs WHERE remnant = 0) AS seen
      ON seen.protocol_key = gone.protocol_key AND gone.id <= seen.horizon
    WHERE functional_key IS NOT NULL GROUP BY seen.protocol_key, seen.horizon, functional_key
  UNION SELECT candidate FROM main.evaluations WHERE candidate IN (SELECT id FROM gone)
  UNION SELECT candidate FROM main.rejections WHERE candidate IN (SELECT id FROM gone)
  -- Scores that a run which stays measured too, in another spelling of the function: they are not its own.
  UNION SELECT e.candidate FROM main.candidates AS o JOIN main.runs ON runs.id = o.run
    CROSS JOIN main.evaluations AS e ON e.candidate = o.id
    CROSS JOIN main.candidates AS c ON c.functional_key = e.functional_key AND c.repeat = e.repeat
    CROSS JOIN main.runs AS r ON r.id = c.run
  WHERE runs.remnant = 1 AND r.remnant = 0 AND r.protocol_key = e.protocol_key
    AND c.outcome = 'evaluated' AND (c.evaluations > 1
      OR json_extract(c.numbers, '$.perAnchor[' || e.position || '].accuracy') <> e.accuracy)`;

const GONE = `candidate IN
  (SELECT id FROM candidates WHERE run IN (SELECT id FROM runs WHERE remnant = 1))
  AND candidate NOT IN (SELECT id FROM temp.kept)`;

/**
 * The first candidate of a run that stays which caused the same evaluation, though the row names another
 * one's; else the first that caused one of the function, to which this one was added then, so to say.
 */
const HEIR = (table: string) => `
  SELECT c.id FROM candidates AS c JOIN runs ON runs.id = c.run
  WHERE c.functional_key = ${table}.functional_key AND c.repeat <= ${table}.repeat
    AND runs.protocol_key = ${table}.protocol_key AND runs.remnant = 0
  ORDER BY c.repeat = ${table}.repeat DESC, c.id LIMIT 1`;

/** An heir may have a rejection of its own already; the other one goes then. */
const INHERIT = (table: string) =>
  `UPDATE OR IGNORE ${table} SET candidate = (${HEIR(table)}) WHERE ${GONE} AND (${HEIR(table)}) IS NOT NULL`;

const COUNT_EVALUATIONS = `
  SELECT count(*) FROM (
    SELECT protocol_key, functional_key FROM evaluations WHERE ${GONE}
    UNION SELECT protocol_key, functional_key FROM rejections WHERE ${GONE})`;

const DELETE = `
  DELETE FROM evaluations WHERE ${GONE};
  DELETE FROM rejections WHERE ${GONE};
  DELETE FROM audits WHERE candidate IN
    (SELECT id FROM candidates WHERE run IN (SELECT id FROM runs WHERE remnant = 1));
  DELETE FROM confirmations WHERE run IN (SELECT id FROM runs WHERE remnant = 1);
  DELETE FROM sessions WHERE run IN (SELECT id FROM runs WHERE remnant = 1);
  DELETE FROM faults WHERE run IN (SELECT id FROM runs WHERE remnant = 1);`;

const DELETE_CANDIDATES = `
  DELETE FROM candidates WHERE run IN (SELECT id FROM runs WHERE remnant = 1)
    AND id NOT IN (SELECT id FROM temp.kept)`;

const CLEAR = `
  DELETE FROM trials WHERE functional_key NOT IN
    (SELECT functional_key FROM candidates WHERE functional_key IS NOT NULL);
  DELETE FROM runs WHERE remnant = 1 AND id NOT IN (SELECT run FROM candidates);
  DELETE FROM standings;
  ${FILL_STANDINGS};
  DELETE FROM standings WHERE NOT EXISTS (
    SELECT 1 FROM candidates AS c JOIN runs ON runs.id = c.run
    WHERE c.functional_key = standings.functional_key AND c.outcome = 'evaluated'
      AND runs.protocol_key = standings.protocol_key AND runs.remnant = 0);
  DELETE FROM protocols WHERE key NOT IN (SELECT protocol_key FROM runs)
    AND key NOT IN (SELECT protocol_key FROM evaluations)
    AND key NOT IN (SELECT protocol_key FROM rejections)
    AND key NOT IN (SELECT protocol_key FROM audits)
    AND key NOT IN (SELECT protocol_key FROM trials);
  DROP TABLE temp.kept;`;

/**
 * Deletes runs with all that no other run relies on. What other runs rely on stays as a remnant, which no
 * list shows, until they are deleted as well. Call inside a transaction.
 */
export function pruneRuns(db: Database, runs: readonly number[]): Pruned {
  const mark = db.prepare(MARK);
  for (const run of runs) mark.run(run);
  db.exec(KEEP);
  for (const table of ['evaluations', 'rejections']) db.exec(INHERIT(table));
  const evaluations = db.prepare(COUNT_EVALUATIONS).pluck().get() as number;
  db.exec(DELETE);
  const { changes } = db.prepare(DELETE_CANDIDATES).run();
  const kept = db.prepare('SELECT count(*) FROM temp.kept').pluck().get() as number;
  db.exec(CLEAR);
  return { candidates: changes, evaluations, kept };
}

/** Deletes all runs but one. */
export const keepRun = (db: Database, run: number): Pruned =>
  pruneRuns(db, db.prepare('SELECT id FROM runs WHERE id <> ?').pluck().all(run) as number[]);
