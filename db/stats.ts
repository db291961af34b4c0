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
  /** Per anchor, in the protocol's order. */
  readonly accuracies: readonly number[];
}

/** The functions of a run that have scores, in the order in which it met them. */
export interface ScoredRun {
  /** In the protocol's order; empty where there are no functions. */
  readonly anchors: readonly string[];
  readonly functions: readonly Scored[];
}

export interface AnchorAccuracy {
  readonly anchor: string;
  readonly accuracy: number;
}

type BaselineRow = Omit<BaselineResult, 'perAnchor' | 'index'> & { idx: number; numbers: string };

/** Plain JSON, which is fast, will do: accuracies are finite. */
const perAnchorOf = (numbers: string): AnchorAccuracy[] =>
  (JSON.parse(numbers) as Evaluated).perAnchor.map(({ anchor, accuracy }) => ({
    ...{ anchor, accuracy },
  }));

const FIRST = '(SELECT id FROM candidates WHERE run = $run ORDER BY idx LIMIT 1)';
const LAST = '(SELECT id FROM candidates WHERE run = $run ORDER BY idx DESC LIMIT 1)';

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
  // All that is asked of candidates lies in candidates_by_outcome.
  const paid = db
    .prepare(`
    SELECT count(*) FROM candidates
    WHERE run = $run AND +idx <= $index AND repeat IS NOT NULL`)
    .pluck();
  const paidByBaselines = db
    .prepare('SELECT count(repeat) FROM candidates WHERE run = ? AND idx < 0')
    .pluck();
  const paidOutcomes = db
    .prepare(`
    SELECT outcome, count(*) FROM candidates
    WHERE run = ? AND repeat IS NOT NULL AND idx >= 0 GROUP BY outcome`)
    .raw();
  // Looking each evaluation up by its candidate takes five times as long as going over those of the protocol. Where
  // no other run was at work meanwhile, all between a run's first candidate and its last one are its own.
  const spent = (own: string) => {
    const of = `protocol_key = (SELECT protocol_key FROM runs WHERE id = $run)
      AND candidate BETWEEN ${FIRST} AND ${LAST} ${own}`;
    return db
      .prepare(`
      SELECT ifnull(sum(seconds), 0) FROM (
        SELECT seconds FROM evaluations WHERE ${of} UNION ALL SELECT seconds FROM rejections WHERE ${of})`)
      .pluck();
  };
  const spentAlone = spent('');
  const spentAmongOthers = spent('AND candidate IN (SELECT id FROM candidates WHERE run = $run)');
  const alone = db
    .prepare(`
    SELECT ${LAST} - ${FIRST} = max(idx) - min(idx) FROM candidates WHERE run = $run`)
    .pluck();
  const trained = db
    .prepare(`
    SELECT fitness FROM candidates
    WHERE run = ? AND outcome = 'evaluated' AND idx >= 0 AND repeat IS NOT NULL ORDER BY fitness`)
    .pluck();
  const count = db.prepare('SELECT count(*) FROM candidates').pluck();

  function fromFirsts(run: number): ScoredRun {
    const rows = firsts.all(run) as FirstRow[];
    const anchors = rows[0] ? perAnchorOf(rows[0].numbers).map(({ anchor }) => anchor) : [];
    const functions = rows.map(({ numbers, index, functionalKey }) =>
      scoredOf(
        index,
        functionalKey,
        perAnchorOf(numbers).map(({ accuracy }) => accuracy),
      ),
    );
    return { anchors, functions: inOrder(functions) };
  }

  /** The rows of one function after the other. */
  function fromScores(run: number): ScoredRun {
    const rows = scores.all({ run }) as ScoreRow[];
    const first = rows[0];
    if (!first) return { anchors: [], functions: [] };
    const names = anchors.all({ run, functionalKey: first[0] }) as string[];
    const functions: Scored[] = [];
    for (let at = 0; at < rows.length; at += names.length) {
      const [functionalKey, , index] = rows[at]!;
      const accuracies = names.map((_, i) => rows[at + i]![1]);
      functions.push(scoredOf(index, functionalKey!, accuracies));
    }
    return { anchors: names, functions: inOrder(functions) };
  }

  return {
    /** Of the database, without its WAL. */
    size: (): { bytes: number; candidates: number } => ({
      bytes:
        (db.pragma('page_count', { simple: true }) as number) *
        (db.pragma('page_size', { simple: true }) as number),
      candidates: count.get() as number,
    }),

    /** What workers spent on the evaluations of a run, as far as it was stored: of full training, that on each anchor. */
    seconds: (run: number): number =>
      (alone.get({ run }) === 1 ? spentAlone : spentAmongOthers).get({ run }) as number,

    /** How many evaluations the candidates up to this one caused, baselines included. */
    paidUpTo: (run: number, index: number): number => paid.get({ run, index }) as number,

    /** How many evaluations the baselines of a run caused. */
    paidByBaselines: (run: number): number => paidByBaselines.get(run) as number,

    /** How the proposals ended that the run paid for; baselines are left out. */
    paidOutcomes: (run: number): ReadonlyMap<OutcomeName, number> =>
      new Map(paidOutcomes.all(run) as [OutcomeName, number][]),

    /** The fitnesses of the proposals that the run trained to the end, hits left out, in ascending order. */
    trained: (run: number): number[] => trained.all(run) as number[],

    /** In the order of the run. */
    baselines: (run: number): BaselineResult[] =>
      (baselines.all(run) as BaselineRow[]).map(({ idx, numbers, ...row }) => ({
        ...row,
        index: idx,
        perAnchor: row.outcome === 'evaluated' ? perAnchorOf(numbers) : [],
      })),

    scored: (run: number): ScoredRun =>
      firstCounts.get(run) === 0 ? fromFirsts(run) : fromScores(run),
  };
}

type FirstRow = { index: number; functionalKey: string; numbers: string };
/** The key comes with the first anchor alone. */
type ScoreRow = [functionalKey: string | null, accuracy: number, index: number];

/** With the fitness as `fitnessOf` has it, to the last bit. */
const scoredOf = (index: number, functionalKey: string, accuracies: readonly number[]): Scored => {
  const sum = accuracies.reduce((sum, accuracy) => sum + accuracy, 0);
  return { index, functionalKey, accuracies, fitness: sum / accuracies.length };
};

const inOrder = (functions: Scored[]): Scored[] => functions.sort((a, b) => a.index - b.index);
