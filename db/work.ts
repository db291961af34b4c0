import type { Database } from 'better-sqlite3';
import type { OutcomeName, Rejection } from '../src/eval/outcome.ts';
import { decode } from './json.ts';

/** How an evaluation ended, without the scores. */
export type Ending = Rejection | { readonly outcome: 'evaluated' };

/** An evaluation that a candidate caused. */
export interface Caused {
  /** Of the candidate, in its run. */
  readonly index: number;
  /** Of this evaluation alone, whatever earlier ones of the function gave. */
  readonly ending: Ending;
  /** Time that a worker spent on it. */
  readonly seconds: number;
}

interface Row {
  index: number;
  outcome: OutcomeName;
  numbers: string;
  seconds: number;
}

/** The training that runs caused. */
export function workRepository(db: Database) {
  const caused = db.prepare(`
    SELECT idx AS "index", 'evaluated' AS outcome, '{}' AS numbers, sum(e.seconds) AS seconds
    FROM candidates c JOIN runs ON runs.id = c.run
      JOIN evaluations e ON e.protocol_key = runs.protocol_key
        AND e.functional_key = c.functional_key AND e.repeat = c.repeat AND e.candidate = c.id
    WHERE c.run = $run AND idx > $after GROUP BY c.id
    UNION ALL
    SELECT idx, r.outcome, r.numbers, r.seconds
    FROM candidates c JOIN runs ON runs.id = c.run
      JOIN rejections r ON r.protocol_key = runs.protocol_key
        AND r.functional_key = c.functional_key AND r.candidate = c.id
    WHERE c.run = $run AND idx > $after AND c.repeat IS NOT NULL
    ORDER BY 1`);

  return {
    /** The evaluations that candidates of a run caused, of those behind the one with index `after`; in order. */
    caused: (run: number, after = Number.MIN_SAFE_INTEGER): Caused[] =>
      (caused.all({ run, after }) as Row[]).map(({ index, outcome, numbers, seconds }) => ({
        index,
        ending: { outcome, ...(decode(numbers) as object) } as Ending,
        seconds,
      })),
  };
}
