import type { Database } from 'better-sqlite3';
import type { Evaluated, OutcomeName } from '../src/eval/outcome.ts';

/** A known layer that a run began with, and how it fared. */
export interface BaselineResult {
  readonly index: number;
  readonly name: string;
  readonly outcome: OutcomeName;
  /** Null where it was rejected. */
  readonly fitness: number | null;
  /** In the protocol's order; empty where it was rejected. */
  readonly perAnchor: readonly AnchorAccuracy[];
}

/** A function that has scores, by the first proposal that computes it. */
export interface Scored {
  readonly index: number;
  readonly functionalKey: string;
  readonly fitness: number;
  /** In the protocol's order. */
  readonly perAnchor: readonly AnchorAccuracy[];
}

export interface AnchorAccuracy {
  readonly anchor: string;
  readonly accuracy: number;
}

/** An evaluation that a run paid for, to the end or up to a rejection. */
export interface PaidEvaluation {
  /** The candidate that caused it: its id, and its index in the run. */
  readonly candidate: number;
  readonly index: number;
  /** Time that a worker spent, as far as it was stored: of full training, that on each anchor. */
  readonly seconds: number;
}

type BaselineRow = Omit<BaselineResult, 'perAnchor' | 'index'> & { idx: number; numbers: string };

/** Plain JSON, which is fast, will do: accuracies are finite. */
const perAnchorOf = (numbers: string): AnchorAccuracy[] =>
  (JSON.parse(numbers) as Evaluated).perAnchor.map(({ anchor, accuracy }) => ({
    ...{ anchor, accuracy },
  }));

/** Evaluations that a run may have caused; others between its candidates, of runs at the same time, are few. */
const OF_RUN = `
  protocol_key = (SELECT protocol_key FROM runs WHERE id = $run)
  AND candidate BETWEEN (SELECT id FROM candidates WHERE run = $run ORDER BY idx LIMIT 1)
    AND (SELECT id FROM candidates WHERE run = $run ORDER BY idx DESC LIMIT 1)`;

/** What the statistics of a run ask. */
export function statsRepository(db: Database) {
  const baselines = db.prepare(`
    SELECT idx, baseline AS name, outcome, fitness, numbers FROM candidates
    WHERE run = ? AND idx < 0 ORDER BY idx`);
  // Functions in the order of their keys, which is the order in which their scores lie. One that the run
  // itself gave up (a timeout, a crash) has no evaluated candidate, though another run may have scored it.
  const scores = db
    .prepare(`
    WITH met AS MATERIALIZED (
      SELECT functional_key, min(idx) AS first FROM candidates
      WHERE run = $run AND outcome = 'evaluated' AND idx >= 0 GROUP BY functional_key)
    SELECT CASE position WHEN 0 THEN met.functional_key END, accuracy, first
    FROM met CROSS JOIN evaluations e ON e.functional_key = met.functional_key
    WHERE protocol_key = (SELECT protocol_key FROM runs WHERE id = $run) AND repeat = 0
    ORDER BY met.functional_key, position`)
    .raw();
  // Once, since texts in every row take longer than all else.
  const anchors = db
    .prepare(`
    SELECT anchor FROM evaluations
    WHERE protocol_key = (SELECT protocol_key FROM runs WHERE id = $run)
      AND functional_key = $functionalKey AND repeat = 0
    ORDER BY position`)
    .pluck();
  // Where more than the first evaluation of a function may count, the candidates themselves tell.
  const firstCounts = db
    .prepare(`
    SELECT ifnull(json_extract(config, '$.cache.evaluations'), 1) = 1
      AND ifnull(json_extract(config, '$.cache.forget'), 0) = 0
      AND ifnull(json_extract(config, '$.cache.by'), 'function') = 'function'
    FROM runs WHERE id = ?`)
    .pluck();
  const firsts = db.prepare(`
    SELECT functional_key AS functionalKey, min(idx) AS "index", numbers FROM candidates
    WHERE run = ? AND outcome = 'evaluated' AND idx >= 0 GROUP BY functional_key`);
  // All that is asked of candidates lies in candidates_by_outcome; looking each evaluation up takes five times
  // as long.
  const paying = db
    .prepare('SELECT id, idx FROM candidates WHERE run = ? AND repeat IS NOT NULL')
    .raw();
  const spent = db
    .prepare(`
    SELECT candidate, sum(seconds) FROM evaluations
    WHERE ${OF_RUN} GROUP BY protocol_key, functional_key, repeat
    UNION ALL SELECT candidate, seconds FROM rejections WHERE ${OF_RUN}`)
    .raw();
  const paidOutcomes = db
    .prepare(`
    SELECT outcome, count(*) FROM candidates
    WHERE run = ? AND repeat IS NOT NULL AND idx >= 0 GROUP BY outcome`)
    .raw();
  const committed = db
    .prepare(`
    SELECT at FROM evaluations WHERE candidate = $candidate
    UNION ALL SELECT at FROM rejections WHERE candidate = $candidate LIMIT 1`)
    .pluck();
  const trained = db
    .prepare(`
    SELECT fitness FROM candidates
    WHERE run = ? AND outcome = 'evaluated' AND idx >= 0 AND repeat IS NOT NULL ORDER BY fitness`)
    .pluck();
  const count = db.prepare('SELECT count(*) FROM candidates').pluck();

  const fromFirsts = (run: number): Scored[] =>
    (firsts.all(run) as FirstRow[]).map(({ numbers, index, functionalKey }) =>
      scoredOf(index, functionalKey, perAnchorOf(numbers)),
    );

  /** The rows of one function after the other. */
  function fromScores(run: number): Scored[] {
    const rows = scores.all({ run }) as ScoreRow[];
    const first = rows[0];
    if (!first) return [];
    const names = anchors.all({ run, functionalKey: first[0] }) as string[];
    const found: Scored[] = [];
    for (let at = 0; at < rows.length; at += names.length) {
      const [functionalKey, , index] = rows[at]!;
      const perAnchor = names.map((anchor, i) => ({ anchor, accuracy: rows[at + i]![1] }));
      found.push(scoredOf(index, functionalKey!, perAnchor));
    }
    return found;
  }

  return {
    /** Of the database, without its WAL. */
    size: (): { bytes: number; candidates: number } => ({
      bytes:
        (db.pragma('page_count', { simple: true }) as number) *
        (db.pragma('page_size', { simple: true }) as number),
      candidates: count.get() as number,
    }),

    /** What the run's workers spent their time on, in order. */
    paid(run: number): PaidEvaluation[] {
      const seconds = new Map<number, number>();
      for (const [candidate, spend] of spent.all({ run }) as [number, number][])
        seconds.set(candidate, (seconds.get(candidate) ?? 0) + spend);
      return (paying.all(run) as [candidate: number, index: number][])
        .filter(([candidate]) => seconds.has(candidate))
        .map(([candidate, index]) => ({ candidate, index, seconds: seconds.get(candidate)! }))
        .sort((a, b) => a.index - b.index);
    },

    /** How the proposals ended that the run paid for; baselines are left out. */
    paidOutcomes: (run: number): ReadonlyMap<OutcomeName, number> =>
      new Map(paidOutcomes.all(run) as [OutcomeName, number][]),

    /** When an evaluation that a candidate caused was committed, ISO 8601; null where it caused none. */
    committed: (candidate: number): string | null =>
      (committed.get({ candidate }) as string | undefined) ?? null,

    /** The fitnesses of the proposals that the run trained to the end, hits left out, in ascending order. */
    trained: (run: number): number[] => trained.all(run) as number[],

    /** In the order of the run. */
    baselines: (run: number): BaselineResult[] =>
      (baselines.all(run) as BaselineRow[]).map(({ idx, numbers, ...row }) => ({
        ...row,
        index: idx,
        perAnchor: row.outcome === 'evaluated' ? perAnchorOf(numbers) : [],
      })),

    /** The functions of a run that have scores, in the order in which it met them. */
    scored(run: number): Scored[] {
      const found = firstCounts.get(run) === 0 ? fromFirsts(run) : fromScores(run);
      return found.sort((a, b) => a.index - b.index);
    },
  };
}

type FirstRow = { index: number; functionalKey: string; numbers: string };
/** The key comes with the first anchor alone. */
type ScoreRow = [functionalKey: string | null, accuracy: number, index: number];

/** With the fitness as `fitnessOf` has it, to the last bit. */
const scoredOf = (
  index: number,
  functionalKey: string,
  perAnchor: readonly AnchorAccuracy[],
): Scored => {
  const sum = perAnchor.reduce((sum, { accuracy }) => sum + accuracy, 0);
  return { index, functionalKey, perAnchor, fitness: sum / perAnchor.length };
};
