import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { openStore } from '../../db/store.ts';
import { UserError } from '../../src/errors.ts';
import { overrideSearchConfig, type SearchConfig } from '../../src/search/config.ts';
import { runSearch } from '../../src/search/run.ts';
import { inFolder } from '../db/records.ts';
import { configOf, FakePool, searchIn, trajectory } from './fake.ts';

describe('going on with a run', () => {
  test('extends it to what it would have been', async () => {
    const whole = await searchIn({ config: configOf() });
    const part = await searchIn({ config: configOf({ stop: { proposals: 60 } }) });
    const { store } = part;
    const configs: unknown[] = [];
    const summary = await runSearch({
      ...{ config: configOf(), store, pool: new FakePool(3), runId: 1 },
      onEvent: (event) => event.type === 'started' && configs.push(event.run.config),
    });
    expect(configs).toEqual([configOf()]);
    expect(summary.counts).toEqual(whole.summary.counts);
    expect(trajectory(store, 1)).toEqual(whole.candidates);
    expect(store.runs.byId(1)?.config).toEqual(configOf());
    expect(store.sessions.ofRun(1)).toMatchObject([
      { number: 1, workers: 2, stopped: 'finished', detail: '60 proposals' },
      { number: 2, workers: 3, stopped: 'finished', detail: '150 proposals' },
    ]);
  });

  test.each([
    [{ seed: 8 }, 'seed: 7 in run 1, 8 now'],
    [{ protocol: { steps: 9 } }, 'protocol.steps: 300 in run 1, 9 now'],
    [{ baselines: [] }, 'baselines: ["BN-ReLU","ReLU"] in run 1, [] now'],
    [{ primitiveWeights: { add: 2 } }, 'primitiveWeights.add: not set in run 1, 2 now'],
    [{ lookahead: 9, exploration: 1 }, 'lookahead: 8 in run 1, 9 now; exploration: 0.6 in run 1'],
  ])('is refused with another configuration, which is shown: %j', async (change, says) => {
    const { store } = await searchIn({ config: configOf({ stop: { proposals: 10 } }) });
    const before = trajectory(store, 1);
    const pool = new FakePool(1);
    const other = runSearch({ config: configOf(change), store, pool, runId: 1 });
    await expect(other).rejects.toMatchObject({ exitCode: 2 });
    await expect(other).rejects.toThrow(says);
    await expect(other).rejects.toBeInstanceOf(UserError);
    expect(trajectory(store, 1)).toEqual(before);
    expect(store.sessions.ofRun(1)).toHaveLength(1);
  });

  test('that was begun before spaces had a setting ends as it would have', async () => {
    const whole = await searchIn({ config: configOf() });
    await inFolder(async (folder) => {
      const path = join(folder, 'a.db');
      const first = openStore(path);
      await searchIn({ config: configOf({ stop: { proposals: 60 } }), store: first });
      first.close();
      const db = new Database(path);
      db.exec("UPDATE runs SET config = json_remove(config, '$.space')");
      db.close();
      const store = openStore(path);
      const stored = store.runs.byId(1)?.config as SearchConfig;
      expect(stored).not.toHaveProperty('space');
      const other = { ...configOf(), space: { ...configOf().space, indexSets: ['wh' as const] } };
      const pool = new FakePool(2);
      await expect(runSearch({ config: other, store, pool, runId: 1 })).rejects.toThrow(
        'space.indexSets: ["bwh","whc","wh","whc/g"] in run 1, ["wh"] now',
      );
      const config = overrideSearchConfig(stored, { stop: { proposals: 150 } });
      expect(config).toEqual(configOf());
      await runSearch({ config, store, pool, runId: 1 });
      expect(trajectory(store, 1)).toEqual(whole.candidates);
      store.close();
    });
  });

  test('is refused where it is finished, with what would be more', async () => {
    const { store } = await searchIn({ config: configOf({ stop: { proposals: 10 } }) });
    const again = (stop: object) =>
      runSearch({ config: configOf({ stop }), store, pool: new FakePool(1), runId: 1 });
    await expect(again({ proposals: 10 })).rejects.toThrow(
      'Run 1 is finished (10 proposals); to go on it needs more, such as --proposals 20.',
    );
    await expect(again({ proposals: 5 })).rejects.toThrow(
      'Run 1 is finished (10 proposals); to go on it needs more, such as --proposals 20.',
    );
    await expect(again({ proposals: 90, patience: 3 })).rejects.toThrow('such as --patience 6.');
    await expect(again({ proposals: 10 })).rejects.toMatchObject({ exitCode: 2 });
  });

  test('is refused where there is no such run', async () => {
    const run = runSearch({
      ...{ config: configOf(), store: openStore(':memory:'), pool: new FakePool(1), runId: 9 },
    });
    await expect(run).rejects.toThrow('There is no run 9 in :memory:');
  });

  test('is refused where the protocol means something else by now', () =>
    inFolder(async (folder) => {
      const path = join(folder, 'a.db');
      const first = openStore(path);
      await searchIn({ config: configOf({ stop: { proposals: 10 } }), store: first });
      first.close();
      const db = new Database(path);
      db.pragma('foreign_keys = OFF');
      db.exec("UPDATE runs SET protocol_key = 'older'");
      db.close();
      const store = openStore(path);
      const run = runSearch({ config: configOf(), store, pool: new FakePool(1), runId: 1 });
      await expect(run).rejects.toThrow(/evolayer that trains in another way/);
      store.close();
    }));
});
