import type { Database } from 'better-sqlite3';
import type { Candidate, candidateRepository } from './candidates.ts';

/** What a leaderboard can be sorted by; an anchor is named by its place in the protocol. */
export type SortKey = 'fitness' | 'evaluations' | 'nodes' | 'age' | { readonly anchor: number };

export interface LeaderboardQuery {
  readonly protocolKey: string;
  /** Only functions that this run evaluated or met in the cache, its baselines included. */
  readonly run?: number;
  readonly top: number;
  /** Fitness, the best first, unless told; the fewest nodes and the youngest come first. */
  readonly sort?: SortKey;
  /** Places of the anchors that count; all unless told. */
  readonly anchors?: readonly number[];
  /** Only the functions that no other one beats on one anchor without being beaten on another. */
  readonly pareto?: boolean;
  readonly batchIndependent?: boolean;
  readonly minEvaluations?: number;
  /** ISO 8601. Only what was scored first at this time or later, and the known layers. */
  readonly since?: string;
}

/** Some lines of a leaderboard that is too long to be read whole. */
export interface LeaderboardWindow {
  /** Lines to leave out. */
  readonly from: number;
  readonly count: number;
}

/** A function, with its scores under one protocol. */
export interface LeaderboardRow {
  /** Place among all functions that the query asks for, from 1. */
  readonly rank: number;
  /** How many these are. */
  readonly of: number;
  readonly functionalKey: string;
  /** Accuracies of every evaluation, each in the order of the protocol's anchors. */
  readonly evaluations: readonly (readonly number[])[];
  /** Live nodes. */
  readonly nodes: number;
  readonly batchIndependent: boolean;
  /** The first candidate that computes it: of the wanted run where one is wanted, a proposal rather than a baseline. */
  readonly run: number;
  readonly candidate: Candidate;
  /** The baseline that computes the same, by its name. */
  readonly baseline: string | null;
}

interface Standing {
  rank: number;
  functionalKey: string;
  nodes: number;
  batchIndependent: number;
  isBaseline: number;
}

interface Place {
  run: number;
  idx: number;
}

/** A standing, with what the front is made of. */
type Point = Standing & { accuracies: string };

const ALL: LeaderboardWindow = { from: 0, count: -1 };

const BASELINES = 'SELECT functional_key FROM candidates WHERE baseline IS NOT NULL';

/** Mean accuracy over the anchors that count. */
const scoreOf = (anchors: readonly number[] | undefined): string =>
  anchors
    ? `(${anchors.map((place) => `json_extract(accuracies, '$[${place}]')`).join(' + ')})`
    : 'fitness';

function orderOf({ sort = 'fitness', anchors }: LeaderboardQuery): string {
  const best = `${scoreOf(anchors)} DESC, functional_key`;
  if (typeof sort === 'object') return `${scoreOf([sort.anchor])} DESC, ${best}`;
  return {
    fitness: best,
    evaluations: `evaluations DESC, ${best}`,
    nodes: `nodes, ${best}`,
    age: `since DESC, ${best}`,
  }[sort];
}

function conditionsOf({ run, batchIndependent, minEvaluations, since }: LeaderboardQuery): string {
  const conditions = ['protocol_key = $protocolKey'];
  if (run !== undefined)
    conditions.push(`functional_key IN
      (SELECT functional_key FROM candidates WHERE run = $run AND outcome = 'evaluated')`);
  if (batchIndependent) conditions.push('batch_independent = 1');
  if (minEvaluations !== undefined) conditions.push('evaluations >= $minEvaluations');
  if (since !== undefined) conditions.push(`(since >= $since OR functional_key IN (${BASELINES}))`);
  return conditions.join(' AND ');
}

/** Only what the statement names; SQLite takes no others. */
function parametersOf(query: LeaderboardQuery) {
  const { protocolKey, run, minEvaluations, since } = query;
  return {
    protocolKey,
    ...(run !== undefined && { run }),
    ...(minEvaluations !== undefined && { minEvaluations }),
    ...(since !== undefined && { since }),
  };
}

/**
 * The points that no other one dominates, in their order. Points are taken by their sum, so that none is
 * dominated by a later one.
 */
function front(points: readonly Point[], anchors: readonly number[] | undefined): Set<Point> {
  const all = points.map((point) => {
    const accuracies = JSON.parse(point.accuracies) as number[];
    const values = anchors ? anchors.map((place) => accuracies[place]!) : accuracies;
    return { point, values, sum: values.reduce((a, b) => a + b, 0) };
  });
  all.sort((a, b) => b.sum - a.sum);
  const kept: typeof all = [];
  for (const one of all)
    if (!kept.some(({ values }) => dominates(values, one.values))) kept.push(one);
  return new Set(kept.map(({ point }) => point));
}

const dominates = (a: readonly number[], b: readonly number[]): boolean =>
  a.every((value, i) => value >= b[i]!) && a.some((value, i) => value > b[i]!);

/** The best functions under one protocol; each appears once, however many candidates compute it. */
export function leaderboardRepository(
  db: Database,
  { candidates }: { readonly candidates: ReturnType<typeof candidateRepository> },
) {
  const scores = db.prepare(`
    SELECT repeat, accuracy FROM evaluations
    WHERE protocol_key = ? AND functional_key = ? ORDER BY repeat, position`);
  // In the order of the index, which a sort by `idx < 0` would not be.
  const firstAmong = (which: string) =>
    db.prepare(`
    SELECT run, idx FROM candidates
    WHERE functional_key = $functionalKey AND outcome = 'evaluated' AND ${which}
      AND run IN (SELECT id FROM runs WHERE protocol_key = $protocolKey AND remnant = 0)
      AND ($run IS NULL OR run = $run)
    ORDER BY run, idx LIMIT 1`);
  const [firstProposal, firstBaseline] = [firstAmong('idx >= 0'), firstAmong('idx < 0')];
  const baseline = db
    .prepare(`
    SELECT baseline FROM candidates WHERE functional_key = ? AND baseline IS NOT NULL
    ORDER BY run, idx LIMIT 1`)
    .pluck();

  const evaluationsOf = (protocolKey: string, functionalKey: string): number[][] => {
    const byRepeat = new Map<number, number[]>();
    for (const row of scores.all(protocolKey, functionalKey)) {
      const { repeat, accuracy } = row as { repeat: number; accuracy: number };
      byRepeat.set(repeat, [...(byRepeat.get(repeat) ?? []), accuracy]);
    }
    return [...byRepeat.values()];
  };

  const complete = (standing: Standing, of: number, query: LeaderboardQuery): LeaderboardRow => {
    const { functionalKey, rank, nodes, batchIndependent } = standing;
    const { protocolKey, run = null } = query;
    const wanted = { functionalKey, protocolKey, run };
    const place = (firstProposal.get(wanted) ?? firstBaseline.get(wanted)) as Place;
    return {
      ...{ rank, of, functionalKey, nodes, batchIndependent: batchIndependent === 1 },
      evaluations: evaluationsOf(protocolKey, functionalKey),
      run: place.run,
      candidate: candidates.at(place.run, place.idx) as Candidate,
      baseline: (baseline.get(functionalKey) as string | undefined) ?? null,
    };
  };

  /** The standings that the query asks for, in order, and how many there are. */
  const select = (query: LeaderboardQuery): { rows: Standing[]; of: number } =>
    query.pareto ? selectFront(query) : { rows: selectTop(query), of: countAll(query) };

  const COLUMNS = `functional_key AS functionalKey, nodes, batch_independent AS batchIndependent,
    functional_key IN (${BASELINES}) AS isBaseline`;

  const countAll = (query: LeaderboardQuery): number =>
    db
      .prepare(`SELECT count(*) FROM standings WHERE ${conditionsOf(query)}`)
      .pluck()
      .get(parametersOf(query)) as number;

  /** Without those that the query's `top` leaves out. */
  const selectFront = (query: LeaderboardQuery): { rows: Standing[]; of: number } => {
    const [where, order] = [conditionsOf(query), orderOf(query)];
    const points = db
      .prepare(`SELECT ${COLUMNS}, accuracies FROM standings WHERE ${where} ORDER BY ${order}`)
      .all(parametersOf(query)) as Point[];
    const kept = front(points, query.anchors);
    const rows = points.filter((point) => kept.has(point));
    for (const [i, row] of rows.entries()) row.rank = i + 1;
    const isAsked = ({ rank, isBaseline }: Standing) => rank <= query.top || isBaseline === 1;
    return { rows: rows.filter(isAsked), of: rows.length };
  };

  const ranked = (query: LeaderboardQuery): string => `
    WITH ranked AS (
      SELECT row_number() OVER (ORDER BY ${orderOf(query)}) AS rank, ${COLUMNS}
      FROM standings WHERE ${conditionsOf(query)}
    )`;

  const selectTop = (query: LeaderboardQuery, { from, count } = ALL): Standing[] =>
    db
      .prepare(`${ranked(query)}
      SELECT * FROM ranked WHERE rank <= $top OR isBaseline ORDER BY rank LIMIT $count OFFSET $from`)
      .all({ ...parametersOf(query), top: query.top, from, count }) as Standing[];

  /** Some of all, where none is left out: nothing but these has to be numbered. */
  const selectSome = (query: LeaderboardQuery, { from, count }: LeaderboardWindow): Standing[] => {
    const rows = db
      .prepare(`
      SELECT 0 AS rank, ${COLUMNS} FROM standings
      WHERE ${conditionsOf(query)} ORDER BY ${orderOf(query)} LIMIT $count OFFSET $from`)
      .all({ ...parametersOf(query), from, count }) as Standing[];
    for (const [i, row] of rows.entries()) row.rank = from + i + 1;
    return rows;
  };

  /** How many baselines stand behind the best `top`. */
  const countBehind = (query: LeaderboardQuery): number =>
    db
      .prepare(`${ranked(query)} SELECT count(*) FROM ranked WHERE rank > $top AND isBaseline`)
      .pluck()
      .get({ ...parametersOf(query), top: query.top }) as number;

  /** The lines of a window, how many lines there are, and how many functions are ranked. */
  const selectWindow = (query: LeaderboardQuery, window: LeaderboardWindow) => {
    if (query.pareto) {
      const { rows, of } = selectFront(query);
      const { from, count } = window;
      return { rows: rows.slice(from, from + count), lines: rows.length, of };
    }
    const of = countAll(query);
    if (query.top >= of) return { rows: selectSome(query, window), lines: of, of };
    const lines = query.top + countBehind(query);
    return { rows: selectTop(query, window), lines, of };
  };

  const anchors = db
    .prepare(`
    SELECT anchor FROM evaluations
    WHERE protocol_key = $protocolKey AND (functional_key, repeat) =
      (SELECT functional_key, repeat FROM evaluations WHERE protocol_key = $protocolKey LIMIT 1)
    ORDER BY position`)
    .pluck();

  return {
    /** The names of a protocol's anchors, in its order; empty where nothing was scored under it. */
    anchors: (protocolKey: string): string[] => anchors.all({ protocolKey }) as string[],

    /** The best `top` and, in their places after these, the baselines; of the front all that are asked for. */
    top(query: LeaderboardQuery): LeaderboardRow[] {
      const { rows, of } = select(query);
      return rows.map((row) => complete(row, of, query));
    },

    /** Some lines of what `top` returns, and how many lines that has. */
    window(query: LeaderboardQuery, window: LeaderboardWindow) {
      const { rows, lines, of } = selectWindow(query, window);
      return { lines, of, rows: rows.map((row) => complete(row, of, query)) };
    },
  };
}
