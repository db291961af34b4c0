import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { openStore } from '../../db/store.ts';
import { runSearch, type SearchEvent } from '../../src/search/run.ts';
import { inFolder } from '../db/records.ts';
import { configOf, FakePool, searchIn, trajectory } from './fake.ts';
import { HastyClock } from './time.ts';

const config = configOf();

/** A run whose database another program locks from the third commit on, until the clock has waited so long. */
async function lockedFor(milliseconds: number, folder: string, interrupt?: AbortController) {
  const path = join(folder, 'a.db');
  const store = openStore(path, { patience: 0 });
  const other = new Database(path);
  const clock = new HastyClock();
  const events: SearchEvent[] = [];
  let commits = 0;
  let since = Number.POSITIVE_INFINITY;
  const onEvent = (event: SearchEvent) => {
    events.push(event);
    if (event.type !== 'committed' || ++commits !== 3) return;
    other.exec('BEGIN IMMEDIATE');
    since = clock.now();
  };
  const { wait } = clock;
  clock.wait = (pause, stop) => {
    const waited = wait(pause, stop);
    if (since < Number.POSITIVE_INFINITY) interrupt?.abort('SIGTERM');
    if (clock.now() - since >= milliseconds && other.inTransaction) other.exec('COMMIT');
    return waited;
  };
  const options = { config, store, clock, onEvent, pool: new FakePool(2) };
  const run = runSearch(interrupt ? { ...options, signal: interrupt.signal } : options);
  const close = () => {
    other.close();
    store.close();
  };
  return { run, store, path, events, clock, close };
}

describe('a locked database', () => {
  test('is tried again, and the run goes on when it is free', () =>
    inFolder(async (folder) => {
      const reference = await searchIn({ config });
      const { run, store, events, clock, close } = await lockedFor(50_000, folder);
      expect((await run).stopped).toBe('finished');
      expect(trajectory(store, 1)).toEqual(reference.candidates);
      const faults = events.filter((e) => e.type === 'fault');
      expect(faults).toMatchObject([{ index: null, kind: 'locked' }]);
      expect(store.faults.ofRun(1)).toMatchObject([{ index: null, kind: 'locked' }]);
      expect(clock.waits.length).toBeGreaterThan(10);
      expect(Math.max(...clock.waits)).toBeLessThanOrEqual(1000);
      close();
    }));

  test('ends the run after a minute, with a sentence; it goes on later', () =>
    inFolder(async (folder) => {
      const reference = await searchIn({ config });
      const { run, path, close } = await lockedFor(Number.POSITIVE_INFINITY, folder);
      await expect(run).rejects.toThrow(/a\.db is locked by another program; try again/);
      await expect(run).rejects.toMatchObject({ exitCode: 1 });
      close();
      const store = openStore(path);
      const stored = trajectory(store, 1);
      expect(stored).toEqual(reference.candidates.slice(0, stored.length));
      await runSearch({ config, store, pool: new FakePool(2), runId: 1 });
      expect(trajectory(store, 1)).toEqual(reference.candidates);
      store.close();
    }));

  test('does not keep an interrupted run from ending', () =>
    inFolder(async (folder) => {
      const { run, store, close } = await lockedFor(1e9, folder, new AbortController());
      const summary = await run;
      expect(summary).toMatchObject({ stopped: 'interrupted', detail: 'SIGTERM' });
      expect(summary.counts.proposals).toBe(store.runs.byId(1)?.proposals);
      expect(store.sessions.ofRun(1)).toMatchObject([{ ended: null, stopped: null }]);
      close();
    }));
});
