import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { MIGRATIONS } from '../../db/migrations.ts';
import { defineLayerFunctions, FILL_STANDINGS } from '../../db/standings.ts';
import { openStore } from '../../db/store.ts';
import { beginRun, evaluated, inFolder, settled, TIME } from './records.ts';

const standings = (db: Database.Database) =>
  db.prepare('SELECT * FROM standings ORDER BY protocol_key, functional_key').all();

describe('standings', () => {
  test('are what filling them anew gives, after commits, repeats and cache hits', () =>
    inFolder((folder) => {
      const path = join(folder, 'a.db');
      const store = openStore(path);
      const bwh = { nodes: [{ op: 'mean' as const, args: [0], index: 'bwh' as const }] };
      const run = beginRun(store);
      store.commit(
        run,
        [
          settled(0),
          settled(1, { genome: bwh }),
          settled(2, { outcome: { outcome: 'crashed', message: '' } }),
        ],
        TIME,
      );
      store.commit(
        beginRun(store),
        [settled(0, { tier: 'functional', repeat: null }), settled(3)],
        TIME,
      );
      store.commit(beginRun(store, 'p2'), [settled(1, { outcome: evaluated(0.1) })], TIME);
      const again = { protocolKey: 'p1', functionalKey: 'f0', at: '2027', seconds: 1 };
      store.saveEvaluation({ ...again, repeat: 1, outcome: evaluated(0.7, 0.9) });
      store.saveEvaluation({ ...again, repeat: 2, outcome: { outcome: 'constant' } });
      store.close();
      const db = new Database(path);
      defineLayerFunctions(db);
      const kept = standings(db);
      expect(kept).toMatchObject([
        { functional_key: 'f0', evaluations: 2, nodes: 3, batch_independent: 1, since: TIME.at },
        { functional_key: 'f1', evaluations: 1, nodes: 2, batch_independent: 0 },
        { functional_key: 'f3', evaluations: 1 },
        { protocol_key: 'p2', functional_key: 'f1', fitness: 0.1, accuracies: '[0.1]' },
      ]);
      db.exec('DELETE FROM standings').exec(FILL_STANDINGS);
      expect(standings(db)).toEqual(kept);
      db.close();
    }));

  test('are filled where an older evolayer wrote the database; nothing else changes', () =>
    inFolder((folder) => {
      const path = join(folder, 'a.db');
      const old = new Database(path);
      old.exec(MIGRATIONS[0]!);
      old.pragma(`application_id = ${0x65766c79}`);
      old.pragma('user_version = 1');
      old.exec(`
        INSERT INTO protocols VALUES ('p', '{}');
        INSERT INTO runs VALUES (1, '2026', '{}', 'p', 0, 5, 'finished');
        INSERT INTO candidates (run, idx, genome, structural_key, functional_key, origin, repeat,
            outcome, numbers, fitness)
          VALUES (1, 0, '{"nodes":[{"op":"tanh","args":[0]}]}', 's', 'f', 'random', 0, 'evaluated',
            '{"perAnchor":[]}', 0.5),
            (1, 1, '{"nodes":[{"op":"exp","args":[0]}]}', 't', 'g', 'random', 0, 'constant', '{}', NULL);
        INSERT INTO evaluations VALUES ('p', 'f', 0, 0, 'a', 0.5, 1, 9, 1, 1, '2026');
        INSERT INTO rejections VALUES ('p', 'g', 0, 'constant', '{}', 1, 1, 2, '2026');`);
      old.close();
      const store = openStore(path, { readonly: true });
      expect(store.leaderboard.top({ protocolKey: 'p', top: 5 })).toMatchObject([
        { functionalKey: 'f', nodes: 2, batchIndependent: true, evaluations: [[0.5]] },
      ]);
      expect(store.evaluations.known('p', 'g', 9)).toMatchObject({
        outcome: { outcome: 'constant' },
      });
      store.close();
    }));
});

test('a rejected repeat does not change what searches know of a function', () => {
  const store = openStore(':memory:');
  const run = beginRun(store);
  store.commit(run, [settled(0)], TIME);
  const known = () => store.evaluations.known('p1', 'f0', Number.MAX_SAFE_INTEGER);
  const before = known();
  for (const repeat of [1, 2])
    store.saveEvaluation({
      ...{ protocolKey: 'p1', functionalKey: 'f0', repeat, at: TIME.at, seconds: 1 },
      outcome: { outcome: 'diverged', anchor: 'a', step: repeat },
    });
  expect(known()).toEqual(before);
  expect(before).toMatchObject({ outcome: { outcome: 'evaluated' }, evaluations: 1 });
});
