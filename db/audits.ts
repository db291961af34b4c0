import type { Database } from 'better-sqlite3';
import type { Outcome, OutcomeName } from '../src/eval/outcome.ts';
import { numbersOf, outcomeOf, type Tier } from './candidates.ts';

/**
 * An evaluation that only checks another one: that of a hit's own graph, to see whether what it took over
 * would have been the same; or of a rejected candidate without the early tests, to see what they ended.
 */
export interface Audit {
  readonly kind: 'hit' | 'rejection';
  readonly outcome: Outcome;
  /** Time that a worker spent. */
  readonly seconds: number;
}

export interface NewAudit extends Audit {
  /** The id of the candidate. */
  readonly candidate: number;
  readonly functionalKey: string;
  readonly protocolKey: string;
  /** ISO 8601. */
  readonly at: string;
}

interface StoredAudit extends Omit<Audit, 'kind'> {
  /** Of the candidate in its run. */
  readonly index: number;
  readonly functionalKey: string;
}

/** The audit of a hit, and what the candidate had taken over. */
export interface HitAudit extends StoredAudit {
  /** The key that recognised it. */
  readonly tier: Tier;
  readonly taken: Outcome;
  /** Evaluations that stand behind what it had taken over. */
  readonly evaluations: number;
}

/** The audit of a rejection, and that rejection. */
export interface RejectionAudit extends StoredAudit {
  readonly rejection: Outcome;
}

/** How many evaluations that a run caused ended in one way. */
export interface RejectionCount {
  readonly outcome: OutcomeName;
  readonly count: number;
}

interface Row {
  idx: number;
  functional_key: string;
  outcome: OutcomeName;
  numbers: string;
  seconds: number;
  /** How the evaluation ended that is audited. */
  audited: OutcomeName;
  audited_numbers: string;
}

interface HitRow extends Row {
  tier: Tier;
  evaluations: number;
}

const fromRow = (row: Row): StoredAudit => ({
  index: row.idx,
  functionalKey: row.functional_key,
  outcome: outcomeOf(row.outcome, row.numbers),
  seconds: row.seconds,
});

const auditedOf = (row: Row): Outcome => outcomeOf(row.audited, row.audited_numbers);

const hitFromRow = (row: HitRow): HitAudit => ({
  ...fromRow(row),
  tier: row.tier,
  taken: auditedOf(row),
  evaluations: row.evaluations,
});

export function auditRepository(db: Database) {
  const insert = db.prepare(`
    INSERT INTO audits
      (candidate, kind, functional_key, protocol_key, outcome, numbers, seconds, at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)`);
  // A cross join is done from left to right: audits are few, and candidates many.
  const hits = db.prepare(`
    SELECT idx, a.functional_key, tier, a.outcome, a.numbers, seconds, c.outcome AS audited,
      c.numbers AS audited_numbers, evaluations
    FROM audits AS a CROSS JOIN candidates AS c ON c.id = a.candidate
    WHERE run = ? AND kind = 'hit' ORDER BY idx`);
  // What a candidate is worth may be an earlier rejection; the row of its own evaluation tells.
  const rejections = db.prepare(`
    SELECT idx, a.functional_key, a.outcome, a.numbers, a.seconds, r.outcome AS audited,
      r.numbers AS audited_numbers
    FROM audits AS a CROSS JOIN candidates AS c ON c.id = a.candidate
    CROSS JOIN rejections AS r ON r.protocol_key = a.protocol_key
      AND r.functional_key = a.functional_key AND r.candidate = c.id AND r.repeat = c.repeat
    WHERE run = ? AND kind = 'rejection' ORDER BY idx`);
  // All that is asked of candidates lies in candidates_by_outcome; the + keeps candidates_by_index away.
  const rejected = db.prepare(`
    SELECT r.outcome, count(*) AS count
    FROM candidates AS c CROSS JOIN rejections AS r ON r.candidate = c.id AND r.repeat = c.repeat
    WHERE run = ? AND +idx >= 0 AND c.outcome <> 'evaluated' AND c.repeat IS NOT NULL
    GROUP BY r.outcome`);

  return {
    /** Call inside a transaction. */
    insert({ candidate, kind, functionalKey, protocolKey, outcome, seconds, at }: NewAudit): void {
      const { outcome: name } = outcome;
      const numbers = numbersOf(outcome);
      insert.run(candidate, kind, functionalKey, protocolKey, name, numbers, seconds, at);
    },

    /** Those of a run's hits, in order. */
    hits: (run: number): HitAudit[] => (hits.all(run) as HitRow[]).map(hitFromRow),

    /** Those of a run's rejections, in order. */
    rejections: (run: number): RejectionAudit[] =>
      (rejections.all(run) as Row[]).map((row) => ({ ...fromRow(row), rejection: auditedOf(row) })),

    /** All rejections by evaluations that a run's proposals caused. */
    rejected: (run: number): RejectionCount[] => rejected.all(run) as RejectionCount[],
  };
}
