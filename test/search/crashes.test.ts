import { describe, expect, test } from 'vitest';
import { openStore } from '../../db/store.ts';
import type { Outcome } from '../../src/eval/outcome.ts';
import { CRASHES_IN_A_ROW } from '../../src/search/crashes.ts';
import type { Pool, RunOptions } from '../../src/search/pool.ts';
import { runSearch, type SearchEvent } from '../../src/search/run.ts';
import type { Job, JobResult } from '../../workers/messages.ts';
import { configOf, FakePool, fakeOutcome, searchIn, trajectory } from './fake.ts';

/** Evaluates as `fakeOutcome`, but for the jobs of these numbers, counted from 1, which crash. */
function crashing(...ranges: readonly (readonly [first: number, last: number])[]) {
  let jobs = 0;
  return (job: Job): Outcome => {
    jobs++;
    const crashes = ranges.some(([first, last]) => jobs >= first && jobs <= last);
    return crashes ? { outcome: 'crashed', message: `crash ${jobs}` } : fakeOutcome(job);
  };
}

describe.each([1, 8, 100])('with a lookahead of %i', (lookahead) => {
  const config = configOf({ lookahead });

  test.each([1, 3])(
    'a series of crashes stops the run, and none of it is committed: %i workers',
    async (workers) => {
      const reference = await searchIn({ config });
      const store = openStore(':memory:');
      const pool = new FakePool(workers, 0, crashing([6, 1000]));
      const run = runSearch({ config, store, pool });
      await expect(run).rejects.toMatchObject({ exitCode: 1 });
      await expect(run).rejects.toThrow(/5 evaluations in a row crashed \(crash 8; crash 9; crash/);
      const stored = trajectory(store, 1);
      expect(stored.length).toBeGreaterThan(0);
      expect(stored).toEqual(reference.candidates.slice(0, stored.length));
      expect(store.sessions.ofRun(1)).toMatchObject([
        { stopped: 'failed', detail: expect.stringMatching(/5 evaluations in a row crashed/) },
      ]);
      await runSearch({ config, store, pool: new FakePool(workers), runId: 1 });
      expect(trajectory(store, 1)).toEqual(reference.candidates);
    },
  );

  test('a shorter series is committed when an evaluation succeeds, in its place', async () => {
    const pool = new FakePool(1, 0, crashing([6, 5 + CRASHES_IN_A_ROW - 1]));
    const committed: number[][] = [];
    const onEvent = (event: SearchEvent) => {
      if (event.type === 'committed') committed.push(event.candidates.map(({ index }) => index));
    };
    const { candidates, summary } = await searchIn({ config, pool, onEvent });
    const crashes = candidates.filter(
      ({ outcome, repeat }) => outcome.outcome === 'crashed' && repeat !== null,
    );
    expect(crashes).toHaveLength(CRASHES_IN_A_ROW - 1);
    expect(summary.counts.proposals).toBe(150);
    // All crashes of the series came into the database with one commit.
    const [first, last] = [crashes[0]!.index, crashes.at(-1)!.index];
    const batch = committed.find((indices) => indices.includes(first));
    expect(batch).toContain(last);
    expect(committed.flat()).toEqual(candidates.map(({ index }) => index));
  });
});

test('crashes that others interrupt do not stop the run', async () => {
  const alternate = crashing([1, 4], [6, 9], [11, 14], [16, 19]);
  const { summary } = await searchIn({ config: configOf(), pool: new FakePool(2, 3, alternate) });
  expect(summary.counts.proposals).toBe(150);
  expect(summary.counts.outcomes.crashed).toBeGreaterThanOrEqual(16 - 2);
});

test('an interrupted run does not keep the crashes of an open series', async () => {
  const controller = new AbortController();
  const crash = crashing([6, 9]);
  let jobs = 0;
  const evaluate = (job: Job) => {
    if (++jobs === 9) controller.abort('SIGINT');
    return crash(job);
  };
  const pool = new FakePool(1, 0, evaluate);
  const { candidates, summary } = await searchIn({
    ...{ config: configOf(), pool, signal: controller.signal },
  });
  expect(summary).toMatchObject({ stopped: 'interrupted', detail: 'SIGINT' });
  expect(candidates.length).toBeGreaterThan(0);
  expect(candidates.filter(({ outcome }) => outcome.outcome === 'crashed')).toEqual([]);
});

test('a run that ends with a crash keeps it', async () => {
  const whole = await searchIn({ config: configOf() });
  const jobs = whole.candidates.filter(({ repeat }) => repeat !== null).length;
  const pool = new FakePool(1, 0, crashing([jobs - 1, jobs]));
  const { candidates } = await searchIn({ config: configOf(), pool });
  expect(candidates).toHaveLength(whole.candidates.length);
  const crashed = candidates.filter(
    ({ outcome, repeat }) => outcome.outcome === 'crashed' && repeat !== null,
  );
  expect(crashed).toHaveLength(2);
});

describe('faults', () => {
  test('are told and recorded with the proposal, and decide nothing', async () => {
    const reference = await searchIn({ config: configOf() });
    const events: SearchEvent[] = [];
    const onEvent = (event: SearchEvent) => events.push(event);
    const failed = new Set<string>();
    const shaky = (job: Job) => {
      if (failed.size < 6 && !failed.has(job.seed)) {
        failed.add(job.seed);
        throw new Error(`no luck with ${job.seed}`);
      }
      return fakeOutcome(job);
    };
    const { store, candidates } = await searchIn({
      ...{ config: configOf(), pool: new FakePool(2, 0, shaky), onEvent },
    });
    expect(candidates).toEqual(reference.candidates);
    const faults = store.faults.ofRun(1);
    expect(faults).toHaveLength(6);
    const of = (index: number | null) => candidates.find((c) => c.index === index)?.functionalKey;
    for (const { index, kind, message } of faults) {
      expect(kind).toBe('thread');
      expect(message).toBe(`no luck with 0/${of(index)}/0`);
    }
    const told = events.flatMap((e) => (e.type === 'fault' ? [[e.index, e.message]] : []));
    expect(told).toEqual(faults.map(({ index, message }) => [index, message]));
  });

  test('of a pool that breaks its promise are crashes of the candidate', async () => {
    class Rejecting implements Pool {
      readonly workers = 1;
      readonly #pool = new FakePool(1);
      #jobs = 0;
      run(job: Job, options: RunOptions): Promise<JobResult> {
        if (++this.#jobs % 4 === 0) return Promise.reject(new Error('internal: confused'));
        return this.#pool.run(job, options);
      }
      async close() {}
    }
    const { summary, store } = await searchIn({ config: configOf(), pool: new Rejecting() });
    expect(summary.counts.proposals).toBe(150);
    expect(store.faults.ofRun(1)[0]).toMatchObject({ message: 'internal: confused' });
    expect(summary.counts.outcomes.crashed).toBeGreaterThan(0);
  });
});
