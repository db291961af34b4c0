import type { Database } from 'better-sqlite3';
import type { AnchorScore, Outcome, OutcomeName } from '../src/eval/outcome.ts';
import type { Genome } from '../src/graph/genome.ts';
import { ANCHOR_COLUMNS, type AnchorRow, anchorScoreOf } from './evaluations.ts';
import { decode } from './json.ts';

/** An evaluation as it is stored, and the candidate that it was made for. */
export interface PastEvaluation {
  readonly protocolKey: string;
  /** 0 for that of a search, on which searches rely. */
  readonly repeat: number;
  /** ISO 8601. */
  readonly at: string;
  readonly run: number;
  readonly index: number;
  /** The name of the known layer that the candidate is. */
  readonly baseline: string | null;
  readonly outcome: Outcome;
}

/** Where a function stands under a protocol. */
export interface Standing {
  readonly protocolKey: string;
  /** Place by fitness among all functions that were scored under it, from 1. */
  readonly rank: number;
  readonly of: number;
}

interface Place {
  protocol_key: string;
  repeat: number;
  at: string;
  run: number;
  idx: number;
  baseline: string | null;
}

type ScoreRow = Place & AnchorRow;
type RejectionRow = Place & { outcome: OutcomeName; numbers: string };

const place = (row: Place) => ({
  protocolKey: row.protocol_key,
  repeat: row.repeat,
  at: row.at,
  run: row.run,
  index: row.idx,
  baseline: row.baseline,
});

const rejected = (row: RejectionRow): PastEvaluation => ({
  ...place(row),
  outcome: { outcome: row.outcome, ...(decode(row.numbers) as object) } as Outcome,
});

/** Rows of one evaluation after the other, an anchor each, as evaluations. */
function evaluated(rows: readonly ScoreRow[]): PastEvaluation[] {
  const all: (PastEvaluation & { outcome: { perAnchor: AnchorScore[] } })[] = [];
  for (const row of rows) {
    const last = all.at(-1);
    const isSame = last?.protocolKey === row.protocol_key && last.repeat === row.repeat;
    const score = anchorScoreOf(row);
    if (last && isSame) last.outcome.perAnchor.push(score);
    else all.push({ ...place(row), outcome: { outcome: 'evaluated', perAnchor: [score] } });
  }
  return all;
}

/** Everything that was ever measured of a function. */
export function historyRepository(db: Database) {
  const from = (table: string, columns: string) => `
    SELECT t.protocol_key, t.repeat, t.at, run, idx, baseline, ${columns}
    FROM ${table} AS t JOIN candidates ON candidates.id = t.candidate
    WHERE t.protocol_key IN (SELECT key FROM protocols) AND t.functional_key = ?
    ORDER BY t.protocol_key, t.repeat`;
  const scores = db.prepare(`${from('evaluations', ANCHOR_COLUMNS)}, position`);
  const curves = db.prepare(`${from('evaluations', `${ANCHOR_COLUMNS}, curve`)}, position`);
  const rejections = db.prepare(from('rejections', 't.outcome, t.numbers'));
  const standings = db.prepare(`
    SELECT protocol_key AS protocolKey,
      (SELECT count(*) FROM standings WHERE protocol_key = s.protocol_key AND fitness > s.fitness)
      + (SELECT count(*) FROM standings WHERE protocol_key = s.protocol_key
          AND fitness = s.fitness AND functional_key <= s.functional_key) AS rank,
      (SELECT count(*) FROM standings WHERE protocol_key = s.protocol_key) AS of
    FROM standings AS s
    WHERE protocol_key IN (SELECT key FROM protocols) AND functional_key = ?`);
  const baselines = db.prepare(`
    SELECT DISTINCT c.functional_key AS functionalKey, baseline AS name
    FROM candidates AS c JOIN standings AS s
      ON s.protocol_key = ? AND s.functional_key = c.functional_key
    WHERE baseline IS NOT NULL ORDER BY s.fitness DESC, s.functional_key`);
  const firstGenome = db
    .prepare(`
    SELECT genome FROM evaluations JOIN candidates ON candidates.id = candidate
    WHERE protocol_key = ? AND evaluations.functional_key = ? ORDER BY evaluations.repeat LIMIT 1`)
    .pluck();
  const repeated = db.prepare(`
    SELECT functional_key AS functionalKey, avg(accuracy) AS fitness FROM evaluations
    WHERE protocol_key = $protocolKey AND functional_key IN
      (SELECT functional_key FROM standings
        WHERE protocol_key = $protocolKey AND evaluations > 1 LIMIT $functions)
    GROUP BY functional_key, repeat`);

  return {
    /** By protocol, then by repeat. Training curves only where they are asked for. */
    ofFunction(functionalKey: string, asked: { readonly curves?: true } = {}): PastEvaluation[] {
      const all = [
        ...evaluated((asked.curves ? curves : scores).all(functionalKey) as ScoreRow[]),
        ...(rejections.all(functionalKey) as RejectionRow[]).map(rejected),
      ];
      const order = (a: string, b: string) => Number(a > b) - Number(a < b);
      return all.sort((a, b) => order(a.protocolKey, b.protocolKey) || a.repeat - b.repeat);
    },

    /** One for each protocol under which the function was scored. */
    standings: (functionalKey: string): Standing[] => standings.all(functionalKey) as Standing[],

    /** The known layers that runs began with and that were scored under the protocol, the best first. */
    baselines: (protocolKey: string): { functionalKey: string; name: string }[] =>
      baselines.all(protocolKey) as { functionalKey: string; name: string }[],

    /** The genome that a function was first scored with; null where it was not. */
    genomeOf(protocolKey: string, functionalKey: string): Genome | null {
      const text = firstGenome.get(protocolKey, functionalKey) as string | undefined;
      return text === undefined ? null : JSON.parse(text);
    },

    /** The fitness of every evaluation of functions that have several, by function; of so many functions at most. */
    repeatedFitness(protocolKey: string, functions: number): number[][] {
      const byFunction = new Map<string, number[]>();
      for (const row of repeated.iterate({ protocolKey, functions })) {
        const { functionalKey, fitness } = row as { functionalKey: string; fitness: number };
        byFunction.set(functionalKey, [...(byFunction.get(functionalKey) ?? []), fitness]);
      }
      return [...byFunction.values()];
    },
  };
}
