import type { Database } from 'better-sqlite3';
import type { Candidate, candidateRepository } from './candidates.ts';

export interface LeaderboardQuery {
  readonly protocolKey: string;
  /** Only functions that this run evaluated or met in the cache, its baselines included. */
  readonly run?: number;
  readonly top: number;
}

/** A function, with its scores under one protocol. */
export interface LeaderboardRow {
  /** Place among all functions, from 1. */
  readonly rank: number;
  /** How many functions there are. */
  readonly of: number;
  readonly functionalKey: string;
  /** Mean accuracy over anchors and evaluations. */
  readonly fitness: number;
  readonly perAnchor: readonly { readonly anchor: string; readonly accuracy: number }[];
  /** How often it was evaluated. */
  readonly evaluations: number;
  /** The first candidate that computes it: of the wanted run where one is wanted, a proposal rather than a baseline. */
  readonly run: number;
  readonly candidate: Candidate;
  /** The baseline that computes the same, by its name. */
  readonly baseline: string | null;
}

const SCORED = (where: string) => `
  WITH scored AS (
    SELECT functional_key AS functionalKey, avg(accuracy) AS fitness,
      count(DISTINCT repeat) AS evaluations
    FROM evaluations
    WHERE protocol_key = $protocolKey ${where}
    GROUP BY functional_key
  ), ranked AS (
    SELECT row_number() OVER (ORDER BY fitness DESC, functionalKey) AS rank, *,
      count(*) OVER () AS of
    FROM scored
  )
  SELECT * FROM ranked
  WHERE rank <= $top OR functionalKey IN
    (SELECT functional_key FROM candidates WHERE baseline IS NOT NULL)
  ORDER BY rank`;

interface Scored {
  rank: number;
  of: number;
  functionalKey: string;
  fitness: number;
  evaluations: number;
}

/** The best functions under one protocol; each appears once, however many candidates compute it. */
export function leaderboardRepository(
  db: Database,
  candidates: ReturnType<typeof candidateRepository>,
) {
  const scored = db.prepare(SCORED(''));
  const scoredInRun = db.prepare(
    SCORED(`AND functional_key IN
      (SELECT functional_key FROM candidates WHERE run = $run AND outcome = 'evaluated')`),
  );
  const perAnchor = db.prepare(`
    SELECT anchor, avg(accuracy) AS accuracy FROM evaluations
    WHERE protocol_key = ? AND functional_key = ? GROUP BY position, anchor`);
  const first = db.prepare(`
    SELECT run, idx FROM candidates
    WHERE functional_key = $functionalKey AND outcome = 'evaluated'
      AND run IN (SELECT id FROM runs WHERE protocol_key = $protocolKey)
      AND ($run IS NULL OR run = $run)
    ORDER BY idx < 0, run, idx LIMIT 1`);
  const baseline = db
    .prepare(`
    SELECT baseline FROM candidates WHERE functional_key = ? AND baseline IS NOT NULL
    ORDER BY run, idx LIMIT 1`)
    .pluck();

  const complete = (
    row: Scored,
    { protocolKey, run = null }: Pick<LeaderboardQuery, 'protocolKey'> & { run?: number | null },
  ): LeaderboardRow => {
    const { functionalKey } = row;
    const place = first.get({ functionalKey, protocolKey, run }) as { run: number; idx: number };
    return {
      ...row,
      perAnchor: perAnchor.all(protocolKey, functionalKey) as LeaderboardRow['perAnchor'],
      run: place.run,
      candidate: candidates.at(place.run, place.idx) as Candidate,
      baseline: (baseline.get(functionalKey) as string | undefined) ?? null,
    };
  };

  return {
    /** The best `top` and, in their places after these, the baselines. */
    top({ protocolKey, run, top }: LeaderboardQuery): LeaderboardRow[] {
      const rows = (
        run === undefined
          ? scored.all({ protocolKey, top })
          : scoredInRun.all({ protocolKey, top, run })
      ) as Scored[];
      return rows.map((row) => complete(row, { protocolKey, run: run ?? null }));
    },
  };
}
