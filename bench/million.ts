/* A database that runs of months share: as many functions as wanted, evaluated once each. Made in the database itself. */
import Database from 'better-sqlite3';
import { encodeCurve } from '../db/curves.ts';
import { openStore } from '../db/store.ts';
import { CURVE_POINTS } from '../src/eval/curve.ts';
import { protocolKey } from '../src/eval/protocol.ts';
import { randomStream } from '../src/eval/random.ts';
import { isBatchIndependent, layerOf } from '../src/graph/genome.ts';
import type { SearchConfig } from '../src/search/config.ts';
import { randomGenome } from '../src/search/space.ts';

const RUNS = 10;
const GENOMES = 1000;
const AT = '2026-01-01T00:00:00.000Z';

/** A structure of the database, and the function that it computes. */
export interface Known {
  readonly structuralKey: string;
  readonly functionalKey: string;
}

/** Fills a new database with the functions of runs under the protocol of `config`; a tenth of them was rejected. */
export function fillFunctions(path: string, functions: number, config: SearchConfig): void {
  const store = openStore(path);
  const { protocol } = config;
  const key = protocolKey(protocol);
  for (let i = 0; i < RUNS; i++) {
    const run = store.begin({ started: AT, config, protocolKey: key, protocol });
    store.stop(run, 'finished', { seconds: 3600, at: AT });
  }
  store.close();
  const db = new Database(path);
  try {
    db.pragma('synchronous = OFF');
    db.pragma('cache_size = -1000000');
    db.exec('CREATE TEMP TABLE genomes (id INTEGER PRIMARY KEY, genome TEXT, nodes, independent)');
    const genome = db.prepare('INSERT INTO genomes VALUES (?, ?, ?, ?)');
    const perAnchor = protocol.anchors.map((anchor) => ({
      ...{ anchor, accuracy: 0.5, loss: 0.5, steps: protocol.steps, seconds: 0 },
    }));
    const [anchor] = protocol.anchors;
    const low = { anchor, step: 100, accuracy: 0.2, minAccuracy: 0.35 };
    const parameters = {
      ...{ functions: BigInt(functions), key, at: AT, scores: JSON.stringify({ perAnchor }) },
      low: JSON.stringify(low),
      curve: encodeCurve(Array.from({ length: CURVE_POINTS }, () => 0.5)),
    };
    db.transaction(() => {
      for (let i = 0; i < GENOMES; i++) {
        const made = randomGenome(config, randomStream('million', i));
        const layer = layerOf(made);
        const independent = BigInt(isBatchIndependent(layer));
        genome.run(i, JSON.stringify(made), BigInt(layer.nodes.length), independent);
      }
      // Built at once in the end: row by row they take most of the time.
      const indexes = db.prepare(INDEXES).all() as { name: string; sql: string }[];
      for (const { name } of indexes) db.exec(`DROP INDEX ${name}`);
      for (const statement of STATEMENTS) db.prepare(statement).run(parameters);
      for (const { sql } of indexes) db.exec(sql);
    })();
  } finally {
    db.close();
  }
}

const INDEXES = `SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL`;

const STATEMENTS = [
  `WITH RECURSIVE counted (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n + 1 < $functions)
  INSERT INTO candidates (run, idx, genome, structural_key, functional_key, origin, repeat, outcome,
    numbers, evaluations, fitness)
  SELECT 1 + n * ${RUNS} / $functions, n % ($functions / ${RUNS}), genome,
    lower(hex(randomblob(20))), lower(hex(randomblob(20))), 'random', 0,
    iif(n % 10 = 0, 'low-quality', 'evaluated'), iif(n % 10 = 0, $low, $scores), 1,
    iif(n % 10 = 0, NULL, 0.5)
  FROM counted JOIN genomes ON genomes.id = n % ${GENOMES}`,
  `INSERT INTO evaluations (protocol_key, functional_key, repeat, position, anchor, accuracy, loss,
    steps, seconds, curve, candidate, at)
  SELECT $key, functional_key, 0, score.key, score.value ->> 'anchor', score.value ->> 'accuracy',
    score.value ->> 'loss', score.value ->> 'steps', 0.5, $curve, candidates.id, $at
  FROM candidates, json_each(numbers, '$.perAnchor') AS score
  WHERE outcome = 'evaluated'
  ORDER BY functional_key, score.key`,
  `INSERT INTO rejections (protocol_key, functional_key, repeat, outcome, numbers, seconds, lasting,
    candidate, at)
  SELECT $key, functional_key, 0, outcome, numbers, 0.5, 1, id, $at FROM candidates
  WHERE outcome <> 'evaluated'`,
  `INSERT INTO standings
  SELECT $key, functional_key, fitness,
    (SELECT json_group_array(value ->> 'accuracy') FROM json_each(numbers, '$.perAnchor')),
    1, $at, nodes, independent
  FROM candidates JOIN genomes ON genomes.id = (candidates.id - 1) % ${GENOMES}
  WHERE outcome = 'evaluated'
  ORDER BY functional_key`,
];

/** Some of what the database knows, from all over it. */
export function sampleKnown(path: string, count: number): Known[] {
  const db = new Database(path, { readonly: true });
  try {
    return db
      .prepare(`
      SELECT structural_key AS structuralKey, functional_key AS functionalKey FROM candidates
      WHERE id % (SELECT max(1, count(*) / ?) FROM candidates) = 0 ORDER BY structural_key`)
      .all(count) as Known[];
  } finally {
    db.close();
  }
}
