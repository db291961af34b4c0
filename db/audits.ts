import type { Database } from 'better-sqlite3';
import type { Outcome, OutcomeName } from '../src/eval/outcome.ts';
import { numbersOf, outcomeOf, type Tier } from './candidates.ts';

/** An evaluation of a candidate whose outcome was taken over, to see whether it would have been the same. */
export interface Audit {
  readonly kind: 'hit';
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

/** An audit, and what the candidate had taken over. */
export interface StoredAudit extends Audit {
  /** Of the candidate in its run. */
  readonly index: number;
  readonly functionalKey: string;
  /** The key that recognised it. */
  readonly tier: Tier;
  readonly taken: Outcome;
  /** Evaluations that stand behind what it had taken over. */
  readonly evaluations: number;
}

interface Row {
  idx: number;
  kind: 'hit';
  functional_key: string;
  tier: Tier;
  outcome: OutcomeName;
  numbers: string;
  seconds: number;
  taken: OutcomeName;
  taken_numbers: string;
  evaluations: number;
}

const fromRow = (row: Row): StoredAudit => ({
  index: row.idx,
  kind: row.kind,
  functionalKey: row.functional_key,
  tier: row.tier,
  outcome: outcomeOf(row.outcome, row.numbers),
  seconds: row.seconds,
  taken: outcomeOf(row.taken, row.taken_numbers),
  evaluations: row.evaluations,
});

export function auditRepository(db: Database) {
  const insert = db.prepare(`
    INSERT INTO audits
      (candidate, kind, functional_key, protocol_key, outcome, numbers, seconds, at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)`);
  // A cross join is done from left to right: audits are few, and candidates many.
  const ofRun = db.prepare(`
    SELECT idx, kind, a.functional_key, tier, a.outcome, a.numbers, seconds, c.outcome AS taken,
      c.numbers AS taken_numbers, evaluations
    FROM audits AS a CROSS JOIN candidates AS c ON c.id = a.candidate
    WHERE run = ? ORDER BY idx`);

  return {
    /** Call inside a transaction. */
    insert({ candidate, kind, functionalKey, protocolKey, outcome, seconds, at }: NewAudit): void {
      const { outcome: name } = outcome;
      const numbers = numbersOf(outcome);
      insert.run(candidate, kind, functionalKey, protocolKey, name, numbers, seconds, at);
    },

    /** In the order of the run. */
    ofRun: (run: number): StoredAudit[] => (ofRun.all(run) as Row[]).map(fromRow),
  };
}
