import type { Database } from 'better-sqlite3';
import { type Genome, isBatchIndependent, layerOf } from '../src/graph/genome.ts';

/**
 * What of a function's evaluations a leaderboard sorts and filters by. It follows from `evaluations` and
 * the genomes; it is kept because a reader cannot simplify a hundred thousand genomes.
 */
const insert = (where: string) => `
  INSERT OR REPLACE INTO standings (protocol_key, functional_key, fitness, accuracies, evaluations,
    since, nodes, batch_independent)
  SELECT protocol, function, score,
    (SELECT json_group_array(mean) FROM (
      SELECT avg(accuracy) AS mean FROM evaluations
      WHERE protocol_key = protocol AND functional_key = function
      GROUP BY position ORDER BY position)),
    times, since, live_nodes(genome), batch_independent(genome)
  FROM (
    SELECT protocol_key AS protocol, functional_key AS function, avg(accuracy) AS score,
      count(DISTINCT repeat) AS times, min(at) AS since, min(candidate) AS first
    FROM evaluations ${where} GROUP BY protocol_key, functional_key
  ) JOIN candidates ON candidates.id = first`;

/** Fills the empty table. */
export const FILL_STANDINGS = insert('');

/** Teaches a connection the functions that the statements here are made of. */
export function defineLayerFunctions(db: Database): void {
  const layer = (genome: unknown) => layerOf(JSON.parse(String(genome)) as Genome);
  const options = { deterministic: true };
  db.function('live_nodes', options, (genome) => layer(genome).nodes.length);
  db.function('batch_independent', options, (genome) => Number(isBatchIndependent(layer(genome))));
}

/** Brings the standing of one function up to date. */
export function standingUpdater(db: Database) {
  const update = db.prepare(insert('WHERE protocol_key = ? AND functional_key = ?'));
  const has = db
    .prepare('SELECT 1 FROM standings WHERE protocol_key = ? AND functional_key = ?')
    .pluck();
  return {
    update: (protocolKey: string, functionalKey: string): void =>
      void update.run(protocolKey, functionalKey),

    /** For a function that was met in the cache: its standing went with the run that evaluated it. */
    restore(protocolKey: string, functionalKey: string): void {
      if (has.get(protocolKey, functionalKey) === undefined) update.run(protocolKey, functionalKey);
    },
  };
}
