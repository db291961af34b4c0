import type { Database } from 'better-sqlite3';
import type { Outcome, OutcomeName } from '../src/eval/outcome.ts';
import type { Genome } from '../src/graph/genome.ts';
import type { Origin } from '../src/search/algorithm.ts';
import { decode, encode } from './json.ts';

/** The key by which a candidate was recognised as something that had been there before. */
export type Tier = 'structural' | 'functional';

/** One settled candidate. */
export interface Candidate {
  /** The proposal's index in its run, from 0; baselines stand before them, at negative indices. */
  readonly index: number;
  readonly genome: Genome;
  readonly structuralKey: string;
  /** Null where the probe, or the wish for batch independence, rejected it. */
  readonly functionalKey: string | null;
  readonly origin: Origin;
  readonly tier: Tier | null;
  /** Which evaluation of its function it caused, from 0; null where it caused none. */
  readonly repeat: number | null;
  /**
   * What it is worth: the means of all evaluations of its function that count for it, or their rejection.
   * As it is stored, the seconds in here are 0.
   */
  readonly outcome: Outcome;
  /** How many evaluations that are; null where it has no function. */
  readonly evaluations: number | null;
  /** Mean accuracy over the anchors, where it has any. */
  readonly fitness: number | null;
}

/** What of a candidate's outcome does not depend on the machine's speed, as JSON. */
export function numbersOf(outcome: Outcome): string {
  if (outcome.outcome !== 'evaluated') return encode({ ...outcome, outcome: undefined });
  return encode({ perAnchor: outcome.perAnchor.map((score) => ({ ...score, seconds: 0 })) });
}

export const outcomeOf = (name: OutcomeName, numbers: string): Outcome =>
  ({ outcome: name, ...(decode(numbers) as object) }) as Outcome;

interface Row {
  run: number;
  idx: number;
  genome: string;
  structural_key: string;
  functional_key: string | null;
  origin: Origin['kind'];
  parent: number | null;
  baseline: string | null;
  tier: Tier | null;
  repeat: number | null;
  outcome: OutcomeName;
  numbers: string;
  evaluations: number | null;
  fitness: number | null;
}

function originOf({ origin, parent, baseline }: Row): Origin {
  if (origin === 'mutation' && parent !== null) return { kind: origin, parent };
  if (origin === 'baseline' && baseline !== null) return { kind: origin, name: baseline };
  return { kind: 'random' };
}

const fromRow = (row: Row): Candidate => ({
  index: row.idx,
  genome: JSON.parse(row.genome),
  structuralKey: row.structural_key,
  functionalKey: row.functional_key,
  origin: originOf(row),
  tier: row.tier,
  repeat: row.repeat,
  outcome: outcomeOf(row.outcome, row.numbers),
  evaluations: row.evaluations,
  fitness: row.fitness,
});

/** How many proposals of a run ended in one way. */
export interface FunnelRow {
  readonly outcome: OutcomeName;
  readonly count: number;
  /** Those of them that caused an evaluation. */
  readonly trained: number;
  /** Those that got as far as the cache and caused none, by the key that recognised them. */
  readonly structural: number;
  readonly functional: number;
}

/** What is known of a graph from an earlier candidate of the same structure. */
export interface KnownStructure {
  readonly functionalKey: string | null;
  readonly outcome: OutcomeName;
}

/** What decides what a run sees of structures. */
export interface RunView {
  readonly id: number;
  /** The last candidate of other runs that it knows of. */
  readonly horizon: number;
  /** Of its functional keys. */
  readonly mantissaBits: number;
}

const COLUMNS = `run, idx, genome, structural_key, functional_key, origin, parent, baseline, tier,
  repeat, outcome, numbers, evaluations, fitness`;

export function candidateRepository(db: Database) {
  const insert = db.prepare(
    `INSERT INTO candidates (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const one = db.prepare(`SELECT ${COLUMNS} FROM candidates WHERE run = ? AND idx = ?`);
  const all = db.prepare(`SELECT ${COLUMNS} FROM candidates WHERE run = ? ORDER BY idx`);
  const last = db.prepare('SELECT max(idx) FROM candidates WHERE run = ?').pluck();
  // batch-dependent is a wish of a run, not a property of the structure.
  const structure = (where: string) =>
    db.prepare(`
      SELECT functional_key AS functionalKey, outcome FROM candidates
      WHERE structural_key = ? AND ${where} AND outcome <> 'batch-dependent' LIMIT 1`);
  const ownStructure = structure('run = ?');
  // Keys of another precision do not compare.
  const olderStructure = structure(`id <= ? AND (
    SELECT json_extract(config, '$.cache.mantissaBits') FROM runs WHERE runs.id = run) = ?`);
  const ofFunction = db.prepare(`
    SELECT ${COLUMNS} FROM candidates WHERE functional_key = ? AND run = ? ORDER BY idx LIMIT 1`);
  const timesProposed = db
    .prepare('SELECT count(*) FROM candidates WHERE functional_key = ? AND run = ? AND idx >= 0')
    .pluck();
  const youngest = db.prepare(`
    SELECT ${COLUMNS} FROM candidates
    WHERE run = ? AND outcome = 'evaluated' AND idx >= ? AND idx < ? ORDER BY idx DESC LIMIT ?`);
  const cached = (tier: Tier) =>
    `sum(functional_key IS NOT NULL AND repeat IS NULL AND tier IS '${tier}') AS ${tier}`;
  const funnel = db.prepare(`
    SELECT outcome, count(*) AS count, sum(repeat IS NOT NULL) AS trained,
      ${cached('structural')}, ${cached('functional')}
    FROM candidates WHERE run = ? AND idx >= 0 GROUP BY outcome ORDER BY outcome`);
  const best = db
    .prepare(`
    SELECT idx FROM candidates WHERE run = ? AND outcome = 'evaluated' AND idx >= 0
    ORDER BY fitness DESC, idx LIMIT 1`)
    .pluck();

  const found = (row: unknown): Candidate | null => (row ? fromRow(row as Row) : null);

  return {
    /** Call inside a transaction. Returns the row's id, which is above those of all other candidates. */
    insert(run: number, c: Candidate): number {
      const { origin } = c;
      const { lastInsertRowid } = insert.run(
        run,
        c.index,
        JSON.stringify(c.genome),
        c.structuralKey,
        c.functionalKey,
        origin.kind,
        origin.kind === 'mutation' ? origin.parent : null,
        origin.kind === 'baseline' ? origin.name : null,
        c.tier,
        c.repeat,
        c.outcome.outcome,
        numbersOf(c.outcome),
        c.evaluations,
        c.fitness,
      );
      return Number(lastInsertRowid);
    },

    at: (run: number, index: number): Candidate | null => found(one.get(run, index)),

    /** All candidates of a run in order, baselines first, one at a time. */
    *ofRun(run: number): Generator<Candidate> {
      for (const row of all.iterate(run)) yield fromRow(row as Row);
    },

    /** The index of the candidate that was committed last, or null. */
    lastIndex: (run: number): number | null => last.get(run) as number | null,

    /**
     * What the run knows of a structure from its own candidates, and from others' up to its horizon whose
     * keys are as precise.
     */
    knownStructure(key: string, run: RunView): KnownStructure | null {
      const { id, horizon, mantissaBits } = run;
      const found = ownStructure.get(key, id) ?? olderStructure.get(key, horizon, mantissaBits);
      return (found as KnownStructure | undefined) ?? null;
    },

    /** The run's first candidate that computes this function. */
    firstOfFunction: (key: string, run: number): Candidate | null =>
      found(ofFunction.get(key, run)),

    /** How many of the run's proposals, baselines not counted, compute this function: takes longer the more they are. */
    timesProposed: (key: string, run: number): number => timesProposed.get(key, run) as number,

    /** The last `limit` evaluated candidates with `from` ≤ index < `to`, in order. */
    youngest: (run: number, from: number, to: number, limit: number): Candidate[] =>
      (youngest.all(run, from, to, limit) as Row[]).map(fromRow).reverse(),

    /** The proposals of a run by how they ended. */
    funnel: (run: number): FunnelRow[] => funnel.all(run) as FunnelRow[],

    /** The run's proposal of the highest fitness, the first among equals. */
    best(run: number): Candidate | null {
      const index = best.get(run);
      return index === undefined ? null : found(one.get(run, index));
    },
  };
}
