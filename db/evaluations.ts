import type { Database } from 'better-sqlite3';
import type { AnchorScore, Outcome, OutcomeName, Rejection } from '../src/eval/outcome.ts';
import { decode, encode } from './json.ts';

/** An evaluation that ran: of which function, under which protocol, for which candidate, and how it ended. */
export interface NewEvaluation {
  readonly protocolKey: string;
  readonly functionalKey: string;
  readonly repeat: number;
  readonly run: number;
  readonly index: number;
  /** ISO 8601. */
  readonly at: string;
  /** Time that the worker spent. */
  readonly seconds: number;
  readonly outcome: Outcome;
}

export interface StoredScore extends AnchorScore {
  readonly protocolKey: string;
  readonly functionalKey: string;
  readonly repeat: number;
  readonly run: number;
  readonly index: number;
  readonly at: string;
}

interface ScoreRow {
  protocol_key: string;
  functional_key: string;
  repeat: number;
  anchor: string;
  accuracy: number;
  loss: number | null;
  steps: number;
  seconds: number;
  run: number;
  idx: number;
  at: string;
}

const scoreFromRow = (row: ScoreRow): StoredScore => ({
  protocolKey: row.protocol_key,
  functionalKey: row.functional_key,
  repeat: row.repeat,
  anchor: row.anchor,
  accuracy: row.accuracy,
  loss: row.loss ?? Number.NaN,
  steps: row.steps,
  seconds: row.seconds,
  run: row.run,
  index: row.idx,
  at: row.at,
});

/** Rejections that the same evaluation would give again. A timeout or a crash may be the machine's fault. */
const isLasting = (outcome: OutcomeName): boolean => outcome !== 'timeout' && outcome !== 'crashed';

const SCORE_COLUMNS = `protocol_key, functional_key, repeat, anchor, accuracy, loss, steps, seconds,
  run, idx, at`;

/** The functional equivalence cache, and the record of all training that was ever done. */
export function evaluationRepository(db: Database) {
  // An evaluation is a function of the two keys and `repeat`: where the row is there, it says the same.
  const insertScore = db.prepare(`
    INSERT OR IGNORE INTO evaluations (${SCORE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  const insertRejection = db.prepare(`
    INSERT OR IGNORE INTO rejections
      (protocol_key, functional_key, repeat, outcome, numbers, seconds, lasting, run, idx, at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  const scores = db.prepare(`
    SELECT ${SCORE_COLUMNS} FROM evaluations
    WHERE protocol_key = ? AND functional_key = ? AND repeat = ? AND id <= ? ORDER BY id`);
  const rejection = db.prepare(`
    SELECT outcome, numbers FROM rejections
    WHERE protocol_key = ? AND functional_key = ? AND lasting = 1 AND id <= ?`);
  const ofFunction = db.prepare(`
    SELECT ${SCORE_COLUMNS} FROM evaluations
    WHERE protocol_key = ? AND functional_key = ? ORDER BY repeat, id`);

  const insertEvaluated = (
    e: NewEvaluation,
    { anchor, accuracy, loss, steps, seconds }: AnchorScore,
  ) =>
    insertScore.run(
      e.protocolKey,
      e.functionalKey,
      e.repeat,
      anchor,
      accuracy,
      loss,
      steps,
      seconds,
      e.run,
      e.index,
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
      e.run,
      e.index,
      e.at,
    );

  return {
    /** Call inside a transaction. */
    insert(evaluation: NewEvaluation): void {
      const { outcome } = evaluation;
      if (outcome.outcome === 'evaluated')
        for (const score of outcome.perAnchor) insertEvaluated(evaluation, score);
      else insertRejected(evaluation, outcome);
    },

    /**
     * How the first evaluation of a function ended, in any run up to the horizon: the seconds in it are 0,
     * for they were spent elsewhere. Null where there was none, or none that another run may rely on.
     */
    known(
      protocolKey: string,
      functionalKey: string,
      horizon: { readonly evaluations: number; readonly rejections: number },
    ): Outcome | null {
      const rejected = rejection.get(protocolKey, functionalKey, horizon.rejections) as
        | { outcome: OutcomeName; numbers: string }
        | undefined;
      if (rejected)
        return { outcome: rejected.outcome, ...(decode(rejected.numbers) as object) } as Rejection;
      const rows = scores.all(protocolKey, functionalKey, 0, horizon.evaluations) as ScoreRow[];
      if (rows.length === 0) return null;
      const perAnchor = rows.map(({ anchor, accuracy, loss, steps }) => ({
        anchor,
        accuracy,
        loss: loss ?? Number.NaN,
        steps,
        seconds: 0,
      }));
      return { outcome: 'evaluated', perAnchor };
    },

    /** All scores of a function under a protocol, by repeat, then by anchor in the protocol's order. */
    ofFunction: (protocolKey: string, functionalKey: string): StoredScore[] =>
      (ofFunction.all(protocolKey, functionalKey) as ScoreRow[]).map(scoreFromRow),
  };
}
