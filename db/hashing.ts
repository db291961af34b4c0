import type { Database } from 'better-sqlite3';
import type { OutcomeName } from '../src/eval/outcome.ts';
import { fitnessOf } from '../src/search/select.ts';
import type { Tier } from './candidates.ts';

/** An evaluation of a function that has several of them, or of which a hit was audited. */
export interface ComparedEvaluation {
  readonly functionalKey: string;
  /** The candidate that it was made for, by its id, and its graph. */
  readonly candidate: number;
  readonly structuralKey: string;
  /** Null where it ended in a rejection. */
  readonly fitness: number | null;
}

/** The audit of a hit, without what is not compared. */
export interface ComparedAudit extends ComparedEvaluation {
  readonly run: number;
  /** Of the candidate in its run. */
  readonly index: number;
  readonly tier: Tier;
  readonly outcome: OutcomeName;
  readonly seconds: number;
  /** What it took over, and how many evaluations stand behind that. */
  readonly taken: { readonly outcome: OutcomeName; readonly fitness: number | null };
  readonly evaluations: number;
}

type AuditRow = Omit<ComparedAudit, 'taken' | 'fitness'> & {
  readonly takenOutcome: OutcomeName;
  readonly takenFitness: number | null;
  readonly numbers: string;
};

function auditFromRow({ takenOutcome, takenFitness, numbers, ...row }: AuditRow): ComparedAudit {
  // Plain JSON, which is fast, will do: accuracies are finite.
  const fitness = row.outcome === 'evaluated' ? fitnessOf(JSON.parse(numbers)) : null;
  return { ...row, fitness, taken: { outcome: takenOutcome, fitness: takenFitness } };
}

/** What the statistics of the cache ask. */
export function hashingRepository(db: Database) {
  // All that is asked of candidates lies in candidates_by_outcome; a condition with + keeps away the indices
  // that would have to look up each row.
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
  // A cross join is done from left to right: audits are few, and candidates many.
  const audits = db.prepare(`
    SELECT run, idx AS "index", candidate, structural_key AS structuralKey,
      a.functional_key AS functionalKey, tier, a.outcome, a.numbers, seconds,
      c.outcome AS takenOutcome, fitness AS takenFitness, evaluations
    FROM audits AS a CROSS JOIN candidates AS c ON c.id = a.candidate
    WHERE a.protocol_key = ? AND kind = 'hit' ORDER BY candidate`);
  const wanted = `
    SELECT functional_key AS f FROM audits WHERE protocol_key = $protocol AND kind = 'hit'
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
    /**
     * Seconds of workers that evaluating would have taken for what a run took over, baselines included: as
     * long as the evaluations of the same function did, on average.
     */
    sparedSeconds: (run: number, protocol: string): number =>
      spared.get({ run, protocol }) as number,

    /** Of all runs under a protocol, in the order in which they were committed. */
    audits: (protocol: string): ComparedAudit[] =>
      (audits.all(protocol) as AuditRow[]).map(auditFromRow),

    /**
     * The evaluations under a protocol that audits are compared with: those of all audited functions, and of
     * so many others that have several; by function.
     */
    compared: (protocol: string, functions: number): ComparedEvaluation[] =>
      compared.all({ protocol, functions }) as ComparedEvaluation[],
  };
}
