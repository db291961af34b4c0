import type { Database } from 'better-sqlite3';
import type { Evaluated, OutcomeName } from '../src/eval/outcome.ts';
import { decode } from './json.ts';

/** A known layer that a run began with, and how it fared. */
export interface BaselineResult {
  readonly index: number;
  readonly name: string;
  readonly outcome: OutcomeName;
  /** Null where it was rejected. */
  readonly fitness: number | null;
  /** In the protocol's order; empty where it was rejected. */
  readonly perAnchor: readonly { readonly anchor: string; readonly accuracy: number }[];
}

/** A proposal that has scores. */
export interface Scored {
  readonly index: number;
  readonly functionalKey: string;
  readonly fitness: number;
  /** Reads the accuracies, in the protocol's order. */
  readonly perAnchor: () => Evaluated['perAnchor'];
}

interface ScoredRow {
  idx: number;
  functionalKey: string;
  fitness: number;
  numbers: string;
}

type BaselineRow = Omit<BaselineResult, 'perAnchor' | 'index'> & { idx: number; numbers: string };

const perAnchorOf = (numbers: string) => (decode(numbers) as Evaluated).perAnchor;

/** What the statistics of a run ask. */
export function statsRepository(db: Database) {
  const baselines = db.prepare(`
    SELECT idx, baseline AS name, outcome, fitness, numbers FROM candidates
    WHERE run = ? AND idx < 0 ORDER BY idx`);
  const scored = db.prepare(`
    SELECT idx, functional_key AS functionalKey, fitness, numbers FROM candidates
    WHERE run = ? AND idx >= 0 AND outcome = 'evaluated' ORDER BY idx`);

  return {
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
