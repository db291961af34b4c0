import type { Database } from 'better-sqlite3';
import type { Tier } from './candidates.ts';

/** Proposals that got as far as the cache, counted by what it said. */
export interface CacheAnswer {
  /** The key that recognised the function; null where none did. */
  readonly tier: Tier | null;
  /** Whether they were evaluated, though they may have been recognised. */
  readonly evaluated: boolean;
  readonly count: number;
}

/** An evaluation of a function that has several of them, or of which a hit was audited. */
export interface ComparedEvaluation {
  readonly functionalKey: string;
  /** The candidate that it was made for, by its id, and its graph. */
  readonly candidate: number;
  readonly structuralKey: string;
  /** Null where it ended in a rejection. */
  readonly fitness: number | null;
}

/** What the statistics of the cache ask. */
export function hashingRepository(db: Database) {
  // All that is asked of candidates lies in candidates_by_outcome; a condition with + keeps away the indices
  // that would have to look up each row.
  const answers = db.prepare(`
    SELECT tier, repeat IS NOT NULL AS evaluated, count(*) AS count FROM candidates
    WHERE run = ? AND +idx >= 0 AND +functional_key IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2`);
  const spared = db
    .prepare(`
    WITH hits AS (
      SELECT functional_key AS f, count(*) AS times FROM candidates
      WHERE run = $run AND +functional_key IS NOT NULL AND +repeat IS NULL GROUP BY 1
    ), spent AS (
      SELECT times,
        (SELECT ifnull(sum(seconds), 0) FROM evaluations
          WHERE protocol_key = $protocol AND functional_key = f)
        + (SELECT ifnull(sum(seconds), 0) FROM rejections
          WHERE protocol_key = $protocol AND functional_key = f) AS seconds,
        (SELECT count(DISTINCT repeat) FROM evaluations
          WHERE protocol_key = $protocol AND functional_key = f)
        + (SELECT count(*) FROM rejections
          WHERE protocol_key = $protocol AND functional_key = f) AS evaluations
      FROM hits
    )
    SELECT ifnull(sum(times * seconds / evaluations), 0) FROM spent WHERE evaluations > 0`)
    .pluck();
  const wanted = `
    SELECT functional_key AS f FROM audits WHERE protocol_key = $protocol
    UNION SELECT * FROM (SELECT functional_key FROM standings
      WHERE protocol_key = $protocol AND evaluations > 1 LIMIT $functions)`;
  const compared = db.prepare(`
    WITH wanted AS MATERIALIZED (${wanted})
    SELECT f AS functionalKey, candidate, structural_key AS structuralKey, e.fitness FROM (
      SELECT f, candidate, repeat, avg(accuracy) AS fitness
      FROM wanted CROSS JOIN evaluations ON protocol_key = $protocol AND functional_key = f
      GROUP BY f, repeat
      UNION ALL
      SELECT f, candidate, repeat, NULL
      FROM wanted CROSS JOIN rejections ON protocol_key = $protocol AND functional_key = f
    ) AS e CROSS JOIN candidates ON candidates.id = e.candidate
    ORDER BY f, e.repeat`);

  return {
    /** Baselines do not count. */
    answers: (run: number): CacheAnswer[] =>
      (answers.all(run) as (Omit<CacheAnswer, 'evaluated'> & { evaluated: 0 | 1 })[]).map(
        (row) => ({ ...row, evaluated: row.evaluated === 1 }),
      ),

    /**
     * Seconds of workers that evaluating would have taken for what a run took over, baselines included: as
     * long as the evaluations of the same function did, on average.
     */
    sparedSeconds: (run: number, protocol: string): number =>
      spared.get({ run, protocol }) as number,

    /**
     * The evaluations under a protocol that audits are compared with: those of all audited functions, and of
     * so many others that have several; by function.
     */
    compared: (protocol: string, functions: number): ComparedEvaluation[] =>
      compared.all({ protocol, functions }) as ComparedEvaluation[],
  };
}
