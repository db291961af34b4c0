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

/** A proposal that has scores. */
export interface Scored {
  readonly index: number;
  readonly functionalKey: string;
  readonly fitness: number;
  /** Reads the accuracies, in the protocol's order. */
  readonly perAnchor: () => AnchorAccuracy[];
}

export interface AnchorAccuracy {
  readonly anchor: string;
  readonly accuracy: number;
}

/** An evaluation that a run paid for, to the end or up to a rejection. */
export interface PaidEvaluation {
  /** Of the candidate that caused it. */
  readonly index: number;
  /** When it was committed, ISO 8601. */
  readonly at: string;
  /** Time that a worker spent, as far as it was stored: of full training, that on each anchor. */
  readonly seconds: number;
  readonly outcome: OutcomeName;
}

interface ScoredRow {
  idx: number;
  functionalKey: string;
  fitness: number;
  numbers: string;
}

type BaselineRow = Omit<BaselineResult, 'perAnchor' | 'index'> & { idx: number; numbers: string };

/** Plain JSON, which is fast, will do: accuracies are finite. */
const perAnchorOf = (numbers: string): AnchorAccuracy[] =>
  (JSON.parse(numbers) as Evaluated).perAnchor.map(({ anchor, accuracy }) => ({
    ...{ anchor, accuracy },
  }));

/** What the statistics of a run ask. */
export function statsRepository(db: Database) {
  const baselines = db.prepare(`
    SELECT idx, baseline AS name, outcome, fitness, numbers FROM candidates
    WHERE run = ? AND idx < 0 ORDER BY idx`);
  const scored = db.prepare(`
    SELECT idx, functional_key AS functionalKey, fitness, numbers FROM candidates
    WHERE run = ? AND idx >= 0 AND outcome = 'evaluated' ORDER BY idx`);
  const paid = db.prepare(`
    SELECT idx AS "index", min(at) AS at, sum(evaluations.seconds) AS seconds, 'evaluated' AS outcome
    FROM evaluations JOIN candidates ON candidates.id = candidate
    WHERE run = $run GROUP BY candidate
    UNION ALL
    SELECT idx, at, seconds, rejections.outcome
    FROM rejections JOIN candidates ON candidates.id = candidate
    WHERE run = $run
    ORDER BY "index"`);

  const count = db.prepare('SELECT count(*) FROM candidates').pluck();

  return {
    /** Of the database, without its WAL. */
    size: (): { bytes: number; candidates: number } => ({
      bytes:
        (db.pragma('page_count', { simple: true }) as number) *
        (db.pragma('page_size', { simple: true }) as number),
      candidates: count.get() as number,
    }),

    /** What the run's workers spent their time on, in order. */
    paid: (run: number): PaidEvaluation[] => paid.all({ run }) as PaidEvaluation[],

    /** In the order of the run. */
    baselines: (run: number): BaselineResult[] =>
      (baselines.all(run) as BaselineRow[]).map(({ idx, numbers, ...row }) => ({
        ...row,
        index: idx,
        perAnchor: row.outcome === 'evaluated' ? perAnchorOf(numbers) : [],
      })),

    /** The proposals of a run that have scores, in order, one at a time. */
    *scored(run: number): Generator<Scored> {
      for (const row of scored.iterate(run) as IterableIterator<ScoredRow>) {
        const { idx: index, functionalKey, fitness, numbers } = row;
        yield { index, functionalKey, fitness, perAnchor: () => perAnchorOf(numbers) };
      }
    },
  };
}
