import type { Database } from 'better-sqlite3';
import type { Outcome, OutcomeName } from '../src/eval/outcome.ts';
import { numbersOf, outcomeOf } from './candidates.ts';

/** A layer trained under a protocol from a seed that it shares with others. */
export interface TrialPlace {
  readonly protocolKey: string;
  readonly functionalKey: string;
  readonly seed: number;
}

export interface Trial extends TrialPlace {
  readonly outcome: Outcome;
  /** Time that a worker spent. */
  readonly seconds: number;
  /** ISO 8601. */
  readonly at: string;
}

/** What trials said of a function that a run found. */
export interface Confirmation {
  readonly functionalKey: string;
  /** True where it was better than every known layer. */
  readonly confirmed: boolean;
  /** Plain JSON, for those who show it. */
  readonly verdict: unknown;
}

type TrialRow = { outcome: OutcomeName; numbers: string };
type ConfirmationRow = { functionalKey: string; confirmed: 0 | 1; verdict: string };

/** Comparisons of layers after a search. */
export function trialRepository(db: Database) {
  const one = db.prepare(`
    SELECT outcome, numbers FROM trials
    WHERE protocol_key = ? AND functional_key = ? AND seed = ?`);
  const insert = db.prepare('INSERT OR IGNORE INTO trials VALUES (?, ?, ?, ?, ?, ?, ?)');
  const confirm = db.prepare('INSERT OR REPLACE INTO confirmations VALUES (?, ?, ?, ?, ?)');
  const ofRun = db.prepare(`
    SELECT functional_key AS functionalKey, confirmed, verdict FROM confirmations
    WHERE run = ? ORDER BY functional_key`);
  const confirmed = db
    .prepare(`
    SELECT DISTINCT functional_key FROM confirmations JOIN runs ON runs.id = run
    WHERE confirmed = 1 AND protocol_key = ?`)
    .pluck();

  return {
    /** How a trial ended; null where it was not made. */
    outcome({ protocolKey, functionalKey, seed }: TrialPlace): Outcome | null {
      const row = one.get(protocolKey, functionalKey, seed) as TrialRow | undefined;
      return row ? outcomeOf(row.outcome, row.numbers) : null;
    },

    /** Call inside a transaction. One that is there stays. */
    insert({ protocolKey, functionalKey, seed, outcome, seconds, at }: Trial): void {
      const numbers = numbersOf(outcome);
      insert.run(protocolKey, functionalKey, seed, outcome.outcome, numbers, seconds, at);
    },

    /** Call inside a transaction. Replaces what was said before. */
    confirm(run: number, { functionalKey, confirmed, verdict }: Confirmation, at: string): void {
      confirm.run(run, functionalKey, confirmed ? 1 : 0, JSON.stringify(verdict), at);
    },

    ofRun: (run: number): Confirmation[] =>
      (ofRun.all(run) as ConfirmationRow[]).map(({ functionalKey, confirmed, verdict }) => ({
        ...{ functionalKey, confirmed: confirmed === 1, verdict: JSON.parse(verdict) as unknown },
      })),

    /** The functions that a run under this search protocol found and that were confirmed. */
    confirmedUnder: (protocolKey: string): ReadonlySet<string> =>
      new Set(confirmed.all(protocolKey) as string[]),
  };
}
