import type { Database } from 'better-sqlite3';
import type { OutcomeName } from '../src/eval/outcome.ts';

/** Proposals of a run that lie together and ended in one way. */
export interface CoursePart {
  /** Which part of the run, from 0; all parts but the last are of one size. */
  readonly part: number;
  readonly outcome: OutcomeName;
  readonly count: number;
  /** Those of them that caused an evaluation. */
  readonly trained: number;
  /** Those that took over what was known, by the key that recognised them. */
  readonly structural: number;
  readonly functional: number;
}

/** A proposal that has a fitness. */
export type Scored = readonly [index: number, fitness: number];

/** An evaluation as it was committed. */
export interface Committed {
  /** Of the candidate that caused it. */
  readonly index: number;
  /** ISO 8601. */
  readonly at: string;
}

/** How a run went, proposal by proposal. All that is counted lies in candidates_by_outcome. */
export function courseRepository(db: Database) {
  const scored = db
    .prepare(`
    SELECT idx, fitness FROM candidates
    WHERE run = ? AND outcome = 'evaluated' AND idx > max(?, -1) ORDER BY idx`)
    .raw();
  const cached = (tier: string) =>
    `count(*) FILTER (WHERE repeat IS NULL AND functional_key IS NOT NULL AND tier = '${tier}') AS ${tier}`;
  const parts = db.prepare(`
    SELECT CAST(idx / $size AS INTEGER) AS part, outcome, count(*) AS count, count(repeat) AS trained,
      ${cached('structural')}, ${cached('functional')}
    FROM candidates WHERE run = $run AND +idx >= 0 GROUP BY outcome, part ORDER BY part`);
  // What `evaluate --save` added later has another repeat than the candidate.
  const committed = db.prepare(`
    SELECT idx AS "index", coalesce(
      (SELECT at FROM evaluations e WHERE e.candidate = c.id AND e.repeat = c.repeat LIMIT 1),
      (SELECT at FROM rejections r WHERE r.candidate = c.id AND r.repeat = c.repeat LIMIT 1)) AS at
    FROM candidates AS c
    WHERE run = ? AND idx <= ? AND repeat IS NOT NULL ORDER BY idx DESC LIMIT 1`);
  const examples = db
    .prepare(`
    SELECT idx FROM candidates WHERE run = ? AND outcome = ? AND idx >= 0 AND idx < ?
    ORDER BY idx DESC LIMIT ?`)
    .pluck();
  const standing = db
    .prepare('SELECT ifnull(max(idx), -1) + 1 FROM candidates WHERE run = ? AND idx >= 0')
    .pluck();

  return {
    /** The proposals with a fitness behind the one with index `after`, in order. */
    scored: (run: number, after = -1): Scored[] => scored.all(run, after) as Scored[],

    /** Counts of so many proposals each, from the first one on. */
    parts: (run: number, size: number): CoursePart[] => parts.all({ run, size }) as CoursePart[],

    /** The last evaluation that a candidate up to this one caused, baselines included; null where there is none. */
    committed(run: number, index: number): Committed | null {
      const found = committed.get(run, index) as
        | { readonly index: number; readonly at: string | null }
        | undefined;
      return found?.at ? { index: found.index, at: found.at } : null;
    },

    /** The youngest proposals before the one with index `before` that ended in this way, by their indices. */
    examples: (run: number, outcome: OutcomeName, before: number, count: number): number[] =>
      examples.all(run, outcome, before, count) as number[],

    /** How many proposals of a run are committed. */
    proposals: (run: number): number => standing.get(run) as number,

    /** Changes whenever another connection committed something. */
    version: (): number => db.pragma('data_version', { simple: true }) as number,
  };
}
