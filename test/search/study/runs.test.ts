import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { openStore } from '../../../db/store.ts';
import { resultOf } from '../../../src/search/study/result.ts';
import { runToBudget, type StudyRun } from '../../../src/search/study/runs.ts';
import { workMeter } from '../../../src/search/study/work.ts';
import { temporaryFolder } from '../../cli/process.ts';
import { configOf, FakePool, fakeOutcome, trajectory } from '../fake.ts';

const config = configOf({ stop: { proposals: 2000 }, cache: { audit: 0 }, warmStart: ['DyT'] });

const runIn = (folder: string, changes: Partial<StudyRun> = {}): StudyRun => ({
  ...{ path: join(folder, 'run.db'), config, budget: 15 },
  ...changes,
});

const conduct = (run: StudyRun, pool = new FakePool(3), signal = new AbortController().signal) =>
  runToBudget(run, { pool, signal });

/** The result without what a clock says. */
const timeless = (run: StudyRun) => ({ ...resultOf(run), seconds: null });

const candidatesOf = ({ path }: StudyRun) => {
  const store = openStore(path, { readonly: true });
  try {
    return trajectory(store, 1);
  } finally {
    store.close();
  }
};

test('a run ends with the candidate whose evaluation reaches the budget', async () => {
  const run = runIn(temporaryFolder());
  expect(await conduct(run)).toBe(true);
  const meter = workMeter(config.protocol);
  let work = 0;
  const covered = [];
  for (const candidate of candidatesOf(run)) {
    if (work >= run.budget) break;
    // A cause of its own outcome, since every function is evaluated once here.
    if (candidate.repeat !== null) work += meter(candidate.outcome);
    covered.push(candidate);
  }
  const own = covered.filter(({ index }) => index >= 0);
  const result = resultOf(run);
  expect(result).toMatchObject({ spent: true, proposals: own.length, falseHits: 0 });
  expect(result.work).toBeCloseTo(work, 9);
  expect(result.work).toBeGreaterThanOrEqual(15);
  expect(result.work).toBeLessThan(16);
  expect(result.evaluated).toBe(own.filter(({ repeat }) => repeat !== null).length);
  const best = Math.max(...own.map(({ fitness }) => fitness ?? 0));
  expect(result.best?.fitness).toBe(best);
  expect(result.curve.at(-1)?.[1]).toBe(best);
  expect(result.seconds.evaluating).toBeGreaterThan(0);
});

describe('resuming', () => {
  let undisturbed: unknown;
  beforeAll(async () => {
    const folder = mkdtempSync(join(tmpdir(), 'evolayer-'));
    const run = runIn(folder);
    await conduct(run);
    undisturbed = timeless(run);
    rmSync(folder, { recursive: true });
  });

  test.each([1, 9, 20])('after %d jobs leads to what an undisturbed run finds', async (jobs) => {
    const run = runIn(temporaryFolder());
    const interruption = new AbortController();
    let started = 0;
    const pool = new FakePool(2, 'other', (job) => {
      if (++started === jobs) interruption.abort('enough');
      return fakeOutcome(job);
    });
    expect(await conduct(run, pool, interruption.signal)).toBe(false);
    expect(await conduct(run)).toBe(true);
    expect(timeless(run)).toEqual(undisturbed);
  });

  test('what is done is not touched again', async () => {
    const run = runIn(temporaryFolder());
    await conduct(run);
    const pool = new FakePool(2);
    expect(await conduct(run, pool)).toBe(true);
    expect(pool.jobs).toEqual([]);
  });

  test('a larger budget goes on, a smaller one looks at the beginning', async () => {
    const folder = temporaryFolder();
    const small = runIn(folder, { budget: 6 });
    await conduct(small);
    const before = timeless(small);
    await conduct(runIn(folder));
    expect(timeless(runIn(folder))).toEqual(undisturbed);
    expect(timeless(small)).toEqual(before);
  });

  test('another configuration is refused', async () => {
    const run = runIn(temporaryFolder());
    await conduct(run);
    const other = { ...run, config: { ...config, seed: 8 } };
    await expect(conduct(other)).rejects.toThrow(/run of another configuration.*--dir/);
    expect(() => resultOf(other)).toThrow(/run of another configuration/);
  });
});

test('a run that has no proposals left ends with a part of its budget', async () => {
  const run = runIn(temporaryFolder(), { config: { ...config, stop: { proposals: 20 } } });
  expect(await conduct(run)).toBe(true);
  expect(await conduct(run)).toBe(true);
  expect(resultOf(run)).toMatchObject({ spent: false, proposals: 20 });
});
