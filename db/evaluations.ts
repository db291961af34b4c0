import type { Database } from 'better-sqlite3';
import type { AnchorScore, Outcome, OutcomeName, Rejection } from '../src/eval/outcome.ts';
import type { Stability } from '../src/eval/stability.ts';
import { decodeCurve, encodeCurve } from './curves.ts';
import { decode, encode } from './json.ts';
import { standingUpdater } from './standings.ts';

/** An evaluation that ran: of which function, under which protocol, and how it ended. */
export interface NewEvaluation {
  readonly protocolKey: string;
  readonly functionalKey: string;
  readonly repeat: number;
  /** The id of the candidate that caused it. */
  readonly candidate: number;
  /** ISO 8601. */
  readonly at: string;
  /** Time that the worker spent. */
  readonly seconds: number;
  readonly outcome: Outcome;
}

/** A score, and the candidate that it was measured for. */
export interface StoredScore extends AnchorScore {
  readonly protocolKey: string;
  readonly functionalKey: string;
  readonly repeat: number;
  readonly run: number;
  readonly index: number;
  readonly at: string;
}

/** One anchor of an evaluation, as it is stored. */
export interface AnchorRow extends StabilityRow {
  anchor: string;
  accuracy: number;
  loss: number | null;
  steps: number;
  seconds: number;
  /** Where it was asked for; null where none was kept. */
  curve?: Buffer | null;
}

/** Null where the anchor was not tested. */
interface StabilityRow {
  gradient_norm: number | null;
  greatest_norm: number | null;
  greatest_at: number | null;
}

/** Without the curve, which is as long as all of them together: few ask for it. */
export const ANCHOR_COLUMNS =
  'anchor, accuracy, loss, steps, t.seconds, gradient_norm, greatest_norm, greatest_at';

interface ScoreRow extends AnchorRow {
  protocol_key: string;
  functional_key: string;
  repeat: number;
  run: number;
  idx: number;
  at: string;
}

type KnownRow = Pick<ScoreRow, 'repeat' | 'anchor' | 'accuracy' | 'loss' | 'steps'>;
type RejectedRow = { repeat: number; outcome: OutcomeName; numbers: string };

/** What earlier evaluations of a function say about it. */
export interface KnownFunction {
  readonly outcome: Outcome;
  /** How many they are. */
  readonly evaluations: number;
  /** Which one was the last. */
  readonly repeat: number;
}

/** Means per anchor, of rows in the order of evaluations and of the protocol's anchors. */
function meanOf(rows: readonly KnownRow[]): Outcome {
  const byAnchor = new Map<string, KnownRow[]>();
  for (const row of rows) {
    const same = byAnchor.get(row.anchor);
    if (same) same.push(row);
    else byAnchor.set(row.anchor, [row]);
  }
  const perAnchor = [...byAnchor].map(([anchor, of]) => ({
    ...{ anchor, steps: of[0]!.steps, seconds: 0 },
    accuracy: mean(of.map(({ accuracy }) => accuracy)),
    loss: mean(of.map(({ loss }) => loss ?? Number.NaN)),
  }));
  return { outcome: 'evaluated', perAnchor };
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

function stabilityOf(row: StabilityRow): Stability | undefined {
  const { gradient_norm, greatest_norm, greatest_at } = row;
  if (gradient_norm === null || greatest_norm === null || greatest_at === null) return undefined;
  return { gradientNorm: gradient_norm, greatestNorm: greatest_norm, greatestAt: greatest_at };
}

/** SQLite keeps no NaN. */
export function anchorScoreOf(row: AnchorRow): AnchorScore {
  const { anchor, accuracy, loss, steps, seconds } = row;
  const stability = stabilityOf(row);
  return {
    ...{ anchor, accuracy, loss: loss ?? Number.NaN, steps, seconds },
    ...(row.curve && { curve: decodeCurve(row.curve) }),
    ...(stability && { stability }),
  };
}

const scoreFromRow = (row: ScoreRow): StoredScore => ({
  ...anchorScoreOf(row),
  protocolKey: row.protocol_key,
  functionalKey: row.functional_key,
  repeat: row.repeat,
  run: row.run,
  index: row.idx,
  at: row.at,
});

/** Rejections that the same evaluation would give again. A timeout or a crash may be the machine's fault. */
const isLasting = (outcome: OutcomeName): boolean => outcome !== 'timeout' && outcome !== 'crashed';

/** The functional equivalence cache, and the record of all training that was ever done. */
export function evaluationRepository(db: Database) {
  // An evaluation is a function of the two keys and `repeat`: where the row is there, it says the same.
  // One that was only saved, as another evaluation of a candidate, becomes that of the one that causes it,
  // whose spelling may round otherwise.
  const caused = (candidate: string) =>
    `(SELECT repeat FROM candidates WHERE id = ${candidate}) = repeat`;
  const insertScore = db.prepare(`
    INSERT INTO evaluations (protocol_key, functional_key, repeat, position, anchor,
      accuracy, loss, steps, seconds, gradient_norm, greatest_norm, greatest_at, curve,
      candidate, at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET accuracy = excluded.accuracy, loss = excluded.loss,
      steps = excluded.steps, seconds = excluded.seconds, gradient_norm = excluded.gradient_norm,
      greatest_norm = excluded.greatest_norm, greatest_at = excluded.greatest_at,
      curve = excluded.curve, candidate = excluded.candidate, at = excluded.at
    WHERE NOT ${caused('evaluations.candidate')} AND ${caused('excluded.candidate')}`);
  const insertRejection = db.prepare(`
    INSERT INTO rejections
      (protocol_key, functional_key, repeat, outcome, numbers, seconds, lasting, candidate, at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  // What `evaluate --save` adds is another evaluation of the candidate that caused the first one.
  const scores = db.prepare(`
    SELECT e.repeat, anchor, accuracy, loss, steps
    FROM evaluations AS e JOIN candidates AS c ON c.id = candidate AND c.repeat = e.repeat
    WHERE protocol_key = ? AND e.functional_key = ? AND candidate <= ?
    ORDER BY e.repeat, position`);
  const rejected = db.prepare(`
    SELECT e.repeat, e.outcome, e.numbers
    FROM rejections AS e JOIN candidates AS c ON c.id = candidate AND c.repeat = e.repeat
    WHERE protocol_key = ? AND e.functional_key = ? AND lasting = 1 AND candidate <= ?
    ORDER BY e.repeat`);
  const ofFunction = db.prepare(`
    SELECT protocol_key, t.functional_key, t.repeat, ${ANCHOR_COLUMNS}, run, idx, at
    FROM evaluations AS t JOIN candidates ON candidates.id = candidate
    WHERE protocol_key = ? AND t.functional_key = ?
    ORDER BY t.repeat, position`);

  const first = db
    .prepare(`
    SELECT candidate FROM evaluations WHERE protocol_key = ? AND functional_key = ? AND repeat = 0`)
    .pluck();
  const standings = standingUpdater(db);

  const insertEvaluated = (e: NewEvaluation, score: AnchorScore, position: number) =>
    insertScore.run(
      e.protocolKey,
      e.functionalKey,
      e.repeat,
      position,
      score.anchor,
      score.accuracy,
      score.loss,
      score.steps,
      score.seconds,
      score.stability?.gradientNorm ?? null,
      score.stability?.greatestNorm ?? null,
      score.stability?.greatestAt ?? null,
      score.curve ? encodeCurve(score.curve) : null,
      e.candidate,
      e.at,
    );

  const insertRejected = (e: NewEvaluation, { outcome, ...numbers }: Rejection) =>
    insertRejection.run(
      e.protocolKey,
      e.functionalKey,
      e.repeat,
      outcome,
      encode(numbers),
      e.seconds,
      isLasting(outcome) ? 1 : 0,
      e.candidate,
      e.at,
    );

  return {
    /** Call inside a transaction. */
    insert(evaluation: NewEvaluation): void {
      const { outcome } = evaluation;
      if (outcome.outcome !== 'evaluated') {
        insertRejected(evaluation, outcome);
        return;
      }
      for (const [position, score] of outcome.perAnchor.entries())
        insertEvaluated(evaluation, score, position);
      standings.update(evaluation.protocolKey, evaluation.functionalKey);
    },

    /** Notes that a run met a scored function in the cache. Call inside a transaction. */
    met: (protocolKey: string, functionalKey: string): void =>
      standings.restore(protocolKey, functionalKey),

    /**
     * What the evaluations of a function that candidates up to the horizon caused make it worth: the means
     * of their scores, or the first rejection; the seconds in it are 0, for they were spent elsewhere. Null
     * where there was none, or none that another run may rely on.
     */
    known(protocolKey: string, functionalKey: string, horizon: number): KnownFunction | null {
      const key = [protocolKey, functionalKey, horizon] as const;
      const rejections = rejected.all(...key) as RejectedRow[];
      const rows = scores.all(...key) as KnownRow[];
      const repeats = new Set([...rejections, ...rows].map(({ repeat }) => repeat));
      if (repeats.size === 0) return null;
      const counts = { evaluations: repeats.size, repeat: Math.max(...repeats) };
      const [first] = rejections;
      if (!first) return { ...counts, outcome: meanOf(rows) };
      const { outcome, numbers } = first;
      return { ...counts, outcome: { outcome, ...(decode(numbers) as object) } as Rejection };
    },

    /** The id of the candidate that the first evaluation of a function was made for; null where it was not scored. */
    first: (protocolKey: string, functionalKey: string): number | null =>
      (first.get(protocolKey, functionalKey) as number | undefined) ?? null,

    /** All scores of a function under a protocol, by repeat, then by anchor in the protocol's order. */
    ofFunction: (protocolKey: string, functionalKey: string): StoredScore[] =>
      (ofFunction.all(protocolKey, functionalKey) as ScoreRow[]).map(scoreFromRow),
  };
}
