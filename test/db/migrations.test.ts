import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { MIGRATIONS } from '../../db/migrations.ts';
import { defineLayerFunctions } from '../../db/standings.ts';
import { openStore } from '../../db/store.ts';
import { runSearch } from '../../src/search/run.ts';
import { configOf, FakePool, searchIn, trajectory } from '../search/fake.ts';
import { inFolder } from './records.ts';

/** What runs did before there was a choice. */
const BEFORE = {
  cache: {
    ...{ by: 'function', mantissaBits: 20, evaluations: 1, forget: 0 },
    ...{ capacity: 10_000_000, shared: true, audit: 0 },
  },
  functionalChange: 0,
  tabu: { limit: 0, attempts: 10 },
  rejectionAudit: 0,
};

/** A database as the first version wrote it, with two runs of which the second one was killed. */
function writeVersion1(path: string): void {
  const db = new Database(path);
  db.pragma('journal_mode = WAL');
  db.exec(MIGRATIONS[0] as string);
  db.pragma(`application_id = ${0x65766c79}`);
  db.pragma('user_version = 1');
  db.exec(`
    INSERT INTO protocols VALUES ('p1', '{"steps":300}');
    INSERT INTO runs (started, config, protocol_key, horizon, seconds, stopped) VALUES
      ('2026-01-01T00:00:00.000Z', '{"seed":7,"proposals":40,"tournament":0.05}', 'p1', 0, 3.5, 'finished'),
      ('2026-01-02T00:00:00.000Z', '{"proposals":1000000000,"warmStart":[]}', 'p1', 1, 9.25, NULL);
    INSERT INTO candidates (run, idx, genome, structural_key, functional_key, origin, repeat, outcome,
      numbers, fitness)
    VALUES (1, 0, '{"nodes":[{"op":"neg","args":[0]}]}', 's', 'f', 'random', 0, 'evaluated',
      '{"perAnchor":[{"anchor":"a","accuracy":0.5,"loss":1,"steps":3,"seconds":0}]}', 0.5),
      (1, 1, '{"nodes":[{"op":"neg","args":[1]}]}', 't', NULL, 'random', NULL, 'constant', '{}', NULL);
    INSERT INTO evaluations VALUES ('p1', 'f', 0, 0, 'a', 0.5, 1, 3, 2, 1, '2026-01-01T00:00:01.000Z');`);
  db.close();
}

describe.each([
  ['writer', {}],
  ['reader', { readonly: true }],
])('a database of version 1, opened by a %s', (_, options) => {
  test('is brought up to date, with the number of proposals among the conditions', () =>
    inFolder((folder) => {
      const path = join(folder, 'old.db');
      writeVersion1(path);
      const store = openStore(path, options);
      expect(store.runs.list().map(({ config }) => config)).toEqual([
        { seed: 7, tournament: 0.05, stop: { proposals: 40 }, ...BEFORE },
        { warmStart: [], stop: { proposals: 1_000_000_000 }, ...BEFORE },
      ]);
      expect(store.runs.byId(1)).toMatchObject({ proposals: 2, seconds: 3.5, stopped: 'finished' });
      expect(store.runs.byId(2)).toMatchObject({ horizon: 1, seconds: 9.25, stopped: null });
      expect(store.candidates.at(1, 0)).toMatchObject({
        functionalKey: 'f',
        fitness: 0.5,
        evaluations: 1,
      });
      expect(store.candidates.at(1, 1)).toMatchObject({ functionalKey: null, evaluations: null });
      expect(store.audits.hits(1)).toEqual([]);
      expect(store.audits.rejections(1)).toEqual([]);
      expect(store.evaluations.ofFunction('p1', 'f')).toHaveLength(1);
      expect(store.sessions.ofRun(1)).toEqual([]);
      expect(store.faults.ofRun(1)).toEqual([]);
      store.close();
      const db = new Database(path);
      expect(db.pragma('user_version', { simple: true })).toBe(MIGRATIONS.length);
      db.close();
    }));
});

test('audits of hits stay what they are where rejections become audited too', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'x.db');
    const config = configOf({ genomeNodes: 3, cache: { audit: 1 } });
    const store = openStore(path);
    await searchIn({ config: { ...config, stop: { proposals: 60 } }, store });
    const before = store.audits.hits(1);
    expect(before.length).toBeGreaterThan(5);
    store.close();
    downgradeTo7(path);
    const migrated = openStore(path);
    expect(migrated.audits.hits(1)).toEqual(before);
    expect(migrated.runs.byId(1)!.config).toMatchObject({ rejectionAudit: 0 });
    await runSearch({ config, store: migrated, pool: new FakePool(2), runId: 1 });
    const whole = await searchIn({ config });
    expect(trajectory(migrated, 1)).toEqual(whole.candidates);
    const timeless = (of: typeof migrated) =>
      of.audits.hits(1).map(({ seconds: _, ...audit }) => audit);
    expect(timeless(migrated)).toEqual(timeless(whole.store));
    expect(migrated.audits.rejections(1)).toEqual([]);
    migrated.close();
  }));

test('evaluations of before training curves were kept stay without, and later ones have them', () =>
  inFolder((folder) => {
    const path = join(folder, 'x.db');
    const db = new Database(path);
    defineLayerFunctions(db);
    for (const migration of MIGRATIONS.slice(0, 9)) db.exec(migration);
    db.pragma(`application_id = ${0x65766c79}`);
    db.pragma('user_version = 9');
    db.exec(`
      INSERT INTO protocols VALUES ('p1', '{}');
      INSERT INTO runs (started, config, protocol_key, horizon) VALUES ('2026', '{}', 'p1', 0);
      INSERT INTO candidates (run, idx, genome, structural_key, functional_key, origin, repeat,
        outcome, numbers, fitness, evaluations)
      VALUES (1, 0, '{"nodes":[{"op":"neg","args":[0]}]}', 's', 'f', 'random', 0, 'evaluated',
        '{"perAnchor":[{"anchor":"a","accuracy":0.5,"loss":1,"steps":3,"seconds":0}]}', 0.5, 1);
      INSERT INTO evaluations VALUES
        ('p1', 'f', 0, 0, 'a', 0.5, 1, 3, 2, 1, '2026', 9.5, 11.5, 4);`);
    db.close();
    const store = openStore(path);
    const old = { anchor: 'a', accuracy: 0.5, loss: 1, steps: 3, seconds: 2 };
    const stability = { gradientNorm: 9.5, greatestNorm: 11.5, greatestAt: 4 };
    const outcomes = (asked?: { curves: true }) =>
      store.history.ofFunction('f', asked).map(({ outcome }) => outcome);
    const before = { outcome: 'evaluated', perAnchor: [{ ...old, stability }] };
    expect(outcomes({ curves: true })).toEqual([before]);
    const score = { ...old, curve: [2.346, 1.5, 0.001234] };
    store.saveEvaluation({
      ...{ protocolKey: 'p1', functionalKey: 'f', repeat: 1, at: '2027', seconds: 1 },
      outcome: { outcome: 'evaluated', perAnchor: [score] },
    });
    expect(outcomes({ curves: true })).toEqual([
      before,
      { outcome: 'evaluated', perAnchor: [score] },
    ]);
    expect(outcomes()).toEqual([before, { outcome: 'evaluated', perAnchor: [old] }]);
    expect(store.evaluations.ofFunction('p1', 'f').map((one) => one.curve)).toEqual([
      undefined,
      undefined,
    ]);
    store.close();
  }));

/** Takes back what the migrations from the eighth on did. */
function downgradeTo7(path: string): void {
  const db = new Database(path);
  const older = new Database(':memory:');
  defineLayerFunctions(older);
  for (const migration of MIGRATIONS.slice(0, 7)) older.exec(migration);
  const table = older.prepare(`SELECT sql FROM sqlite_schema WHERE name = 'audits'`).pluck().get();
  older.close();
  db.exec(`
    ALTER TABLE audits RENAME TO newer;
    ${table};
    INSERT INTO audits SELECT * FROM newer;
    DROP TABLE newer;
    UPDATE runs SET config = json_remove(config, '$.rejectionAudit');
    ALTER TABLE evaluations DROP COLUMN gradient_norm;
    ALTER TABLE evaluations DROP COLUMN greatest_norm;
    ALTER TABLE evaluations DROP COLUMN greatest_at;
    ALTER TABLE evaluations DROP COLUMN curve;
    PRAGMA user_version = 7`);
  db.close();
}

/** The database at `newer`, as version 1 would have written it. */
function downgrade(newer: string, path: string): void {
  const db = new Database(path);
  db.exec(MIGRATIONS[0] as string);
  db.pragma(`application_id = ${0x65766c79}`);
  db.pragma('user_version = 1');
  db.exec(`ATTACH '${newer}' AS newer`);
  // A newer table may have more of them.
  const columnsOf = (table: string) =>
    db.prepare(`SELECT name FROM pragma_table_info('${table}')`).pluck().all().join(', ');
  for (const table of ['protocols', 'runs', 'candidates', 'evaluations', 'rejections'])
    db.exec(`INSERT INTO ${table} SELECT ${columnsOf(table)} FROM newer.${table}`);
  const {
    stop: _stop,
    cache: _cache,
    functionalChange: _change,
    tabu: _tabu,
    rejectionAudit: _rejectionAudit,
    ...config
  } = configOf();
  const old = JSON.stringify({ ...config, proposals: 60 });
  db.prepare("UPDATE runs SET config = ?, stopped = 'interrupted'").run(old);
  db.close();
}

test('a run of version 1 goes on to what it would have been', () =>
  inFolder(async (folder) => {
    const [newer, path] = [join(folder, 'new.db'), join(folder, 'old.db')];
    const config = configOf(BEFORE);
    const whole = await searchIn({ config });
    const part = openStore(newer);
    await searchIn({ config: configOf({ ...BEFORE, stop: { proposals: 60 } }), store: part });
    part.close();
    downgrade(newer, path);
    const store = openStore(path);
    await runSearch({ config, store, pool: new FakePool(2), runId: 1 });
    expect(trajectory(store, 1)).toEqual(whole.candidates);
    expect(store.sessions.ofRun(1)).toMatchObject([{ number: 1, stopped: 'finished' }]);
    store.close();
  }));
