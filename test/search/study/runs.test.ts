import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { openStore } from '../../../db/store.ts';
import type { Outcome } from '../../../src/eval/outcome.ts';
import { resultOf } from '../../../src/search/study/result.ts';
import { runToBudget, type StudyRun } from '../../../src/search/study/runs.ts';
import { workMeter } from '../../../src/search/study/work.ts';
import type { Job } from '../../../workers/messages.ts';
import { temporaryFolder } from '../../cli/process.ts';
import { configOf, FakePool, fakeOutcome, trajectory, unitOf } from '../fake.ts';

const config = configOf({ stop: { proposals: 2000 }, cache: { audit: 0 }, warmStart: ['DyT'] });

const runIn = (folder: string, changes: Partial<StudyRun> = {}): StudyRun => ({
  ...{ path: join(folder, 'run.db'), config, budget: 15, unit: config.protocol },
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
  expect(result.trained).toBe(
    own.filter(({ repeat, outcome }) => repeat !== null && outcome.outcome === 'evaluated').length,
  );
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

test('with means and forgetting, the best is the highest of what is known last of each function', async () => {
  const cache = { evaluations: 3, forget: 0.3, audit: 0 };
  const aggregating = configOf({ stop: { proposals: 150 }, cache, exploration: 0.1 });
  const run = runIn(temporaryFolder(), { config: aggregating, budget: 1000 });
  // Evaluations of one function differ, as luck has it.
  const lucky = (job: Job): Outcome => {
    const outcome = fakeOutcome(job);
    if (outcome.outcome !== 'evaluated') return outcome;
    const accuracy = unitOf(job.seed);
    return { ...outcome, perAnchor: outcome.perAnchor.map((score) => ({ ...score, accuracy })) };
  };
  await conduct(run, new FakePool(3, 0, lucky));
  const last = new Map(candidatesOf(run).map((one) => [one.functionalKey, one]));
  const known = [...last.values()].flatMap(({ index, fitness }) =>
    index >= 0 ? [fitness ?? 0] : [],
  );
  const result = resultOf(run);
  expect(result.best?.fitness).toBe(Math.max(...known));
  expect(result.curve.at(-1)?.[1]).toBe(Math.max(...known));
  expect(result.partialHits).toBeGreaterThan(0);
  const everKnown = result.curve.map(([, fitness]) => fitness);
  expect(Math.max(...everKnown)).toBeGreaterThan(Math.max(...known));
});

test('without a quality test, the unit of work can be that of the protocol with it', async () => {
  const untested = configOf({
    ...{ stop: { proposals: 2000 }, warmStart: [], baselines: [] },
    protocol: { quality: { steps: 0 } },
  });
  const run = runIn(temporaryFolder(), { config: untested });
  const whole = (job: Job): Outcome => {
    const perAnchor = job.protocol.anchors.map((anchor) => ({
      ...{ anchor, accuracy: 0.5, loss: 1, steps: 300, seconds: 1 },
    }));
    return { outcome: 'evaluated', perAnchor };
  };
  await conduct(run, new FakePool(3, 0, whole));
  // The test's images are spared, so that 15 full evaluations with it are a little more than 15 without.
  const { work, evaluated } = resultOf(run);
  const without = workMeter(
    untested.protocol,
    config.protocol,
  )(whole({ protocol: untested.protocol } as Job));
  expect(without).toBeGreaterThan(0.95);
  expect(without).toBeLessThan(1);
  expect(evaluated).toBe(Math.ceil(15 / without));
  expect(work).toBeCloseTo(evaluated * without, 9);
});
