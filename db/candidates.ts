import type { Database } from 'better-sqlite3';
import type { Outcome, OutcomeName } from '../src/eval/outcome.ts';
import type { Genome } from '../src/graph/genome.ts';
import type { Origin } from '../src/search/algorithm.ts';
import { decode, encode } from './json.ts';
import type { Run } from './runs.ts';

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

/**
 * What of a candidate's outcome does not depend on the machine's speed, as JSON. How a training went, and what
 * a test measured, belongs to one evaluation alone, and is stored with it.
 */
export function numbersOf(outcome: Outcome): string {
  if (outcome.outcome !== 'evaluated') return encode({ ...outcome, outcome: undefined });
  const perAnchor = outcome.perAnchor.map(({ curve: _, stability: __, ...score }) => ({
    ...{ ...score, seconds: 0 },
  }));
  return encode({ perAnchor });
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

/** The same, as the database tells it. */
export interface StoredFunnelRow extends FunnelRow {
  /** Of `trained`, those that a key recognised and that were evaluated once more. */
  readonly structuralAgain: number;
  readonly functionalAgain: number;
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

/** What a function was worth after a candidate. */
export interface LastOfFunction {
  /** Of the candidate. */
  readonly index: number;
  readonly outcome: Outcome;
  readonly evaluations: number;
}

const COLUMNS = `run, idx, genome, structural_key, functional_key, origin, parent, baseline, tier,
  repeat, outcome, numbers, evaluations, fitness`;

/** Adds functions, the newest first, up to `size` of them. In blocks, since rows one by one take three times as long. */
function collect(
  found: Set<string>,
  size: number,
  read: (page: { before: number; count: number }) => unknown[],
): void {
  const count = Math.min(size, BLOCK);
  let before = Number.MAX_SAFE_INTEGER;
  while (found.size < size) {
    const rows = read({ before, count }) as [number, string][];
    for (const [, key] of rows) if (found.size < size) found.add(key);
    if (rows.length < count) return;
    before = rows.at(-1)![0];
  }
}

const BLOCK = 100_000;

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
  const timesProposed = db
    .prepare('SELECT count(*) FROM candidates WHERE functional_key = ? AND run = ? AND idx >= 0')
    .pluck();
  const lastOfFunction = db.prepare(`
    SELECT idx, outcome, numbers, evaluations FROM candidates
    WHERE functional_key = ? AND run = ? ORDER BY idx DESC LIMIT 1`);
  const evaluationsOf = db.prepare(`
    SELECT idx, evaluations, outcome FROM candidates
    WHERE functional_key = ? AND run = ? AND repeat IS NOT NULL ORDER BY idx DESC`);
  const lastRepeat = db
    .prepare(`
    SELECT repeat FROM candidates
    WHERE functional_key = ? AND run = ? AND repeat IS NOT NULL ORDER BY idx DESC LIMIT 1`)
    .pluck();
  // The newest first, each with its number, from which the next block goes on.
  const functions = (number: string, where: string) =>
    db
      .prepare(`
      SELECT ${number}, functional_key FROM candidates
      WHERE functional_key IS NOT NULL AND ${where} ORDER BY ${number} DESC LIMIT $count`)
      .raw();
  const ownFunctions = functions('idx', 'run = $run AND idx < $before');
  // With the plus sign in the order of numbers, of which few are needed, and not run by run.
  const othersFunctions = functions(
    'id',
    `id <= $horizon AND id < $before
      AND +run IN (SELECT id FROM runs WHERE protocol_key = $protocolKey)`,
  );
  const youngest = db.prepare(`
    SELECT ${COLUMNS} FROM candidates
    WHERE run = ? AND outcome = 'evaluated' AND idx >= ? AND idx < ? ORDER BY idx DESC LIMIT ?`);
  // A filter tests no further than it must, which takes half the time of summing up what a comparison says.
  const filtered = (tier: Tier, rest: string) =>
    `count(*) FILTER (WHERE ${rest} AND tier = '${tier}')`;
  const cached = (tier: Tier) =>
    `${filtered(tier, 'repeat IS NULL AND functional_key IS NOT NULL')} AS ${tier}`;
  const again = (tier: Tier) => `${filtered(tier, 'repeat IS NOT NULL')} AS ${tier}Again`;
  const funnel = db.prepare(`
    SELECT outcome, count(*) AS count, count(repeat) AS trained,
      ${cached('structural')}, ${cached('functional')},
      ${again('structural')}, ${again('functional')}
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

    /** What the run's last candidate that computes a function was worth; null where there is none. */
    lastOfFunction(key: string, run: number): LastOfFunction | null {
      const row = lastOfFunction.get(key, run) as
        | Pick<Row, 'idx' | 'outcome' | 'numbers' | 'evaluations'>
        | undefined;
      if (!row) return null;
      const { idx: index, outcome, numbers, evaluations } = row;
      return { index, outcome: outcomeOf(outcome, numbers), evaluations: evaluations as number };
    },

    /**
     * The run's first candidate that was rejected by an evaluation of this function which still counts:
     * none before the last one that counted alone does. Null where there is none.
     */
    rejectedAt(key: string, run: number): number | null {
      let first: number | null = null;
      for (const row of evaluationsOf.iterate(key, run)) {
        const { idx, evaluations, outcome } = row as Pick<Row, 'idx' | 'evaluations' | 'outcome'>;
        if (outcome !== 'evaluated') first = idx;
        if (evaluations === 1) break;
      }
      return first;
    },

    /** The last evaluation of a function that the run caused, as a number from 0; null where it caused none. */
    lastRepeat: (key: string, run: number): number | null =>
      (lastRepeat.get(key, run) as number | undefined) ?? null,

    /**
     * The functions that were proposed last, by a run and before it by those of the same protocol as far as
     * it sees them; `count` at most, each once, in the order of their last proposals.
     */
    lastFunctions(
      { id, protocolKey, horizon }: Pick<Run, 'id' | 'protocolKey' | 'horizon'>,
      count: number,
    ): string[] {
      const found = new Set<string>();
      collect(found, count, (page) => ownFunctions.all({ run: id, ...page }));
      collect(found, count, (page) => othersFunctions.all({ horizon, protocolKey, ...page }));
      return [...found].reverse();
    },

    /** How many of the run's proposals, baselines not counted, compute this function: takes longer the more they are. */
    timesProposed: (key: string, run: number): number => timesProposed.get(key, run) as number,

    /** The last `limit` evaluated candidates with `from` ≤ index < `to`, in order. */
    youngest: (run: number, from: number, to: number, limit: number): Candidate[] =>
      (youngest.all(run, from, to, limit) as Row[]).map(fromRow).reverse(),

    /** The proposals of a run by how they ended. */
    funnel: (run: number): StoredFunnelRow[] => funnel.all(run) as StoredFunnelRow[],

    /** The run's proposal of the highest fitness, the first among equals. */
    best(run: number): Candidate | null {
      const index = best.get(run);
      return index === undefined ? null : found(one.get(run, index));
    },
  };
}
