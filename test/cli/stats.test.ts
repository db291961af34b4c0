import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Candidate } from '../../db/candidates.ts';
import { openStore, type Store } from '../../db/store.ts';
import { OUTCOME_NAMES } from '../../src/eval/outcome.ts';
import { runSearch } from '../../src/search/run.ts';
import { dominates } from '../../src/search/select.ts';
import { statistics } from '../../src/web/server/answers/stats.ts';
import { beginRun, settled, TIME } from '../db/records.ts';
import { configOf, FakePool, trajectory } from '../search/fake.ts';
import { inProcess, temporaryFolder } from './process.ts';

const statsOf = async (db: string, ...args: string[]) => {
  const { code, stdout, stderr } = await inProcess(['stats', ...args, '--json', '--db', db]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return statistics.parse(JSON.parse(stdout));
};

const accuracies = ({ outcome }: Candidate): number[] =>
  outcome.outcome === 'evaluated' ? outcome.perAnchor.map(({ accuracy }) => accuracy) : [];

/** Every function of the run that no other one dominates, found the slow way. */
function expectedFront(candidates: readonly Candidate[]): string[] {
  const scored = candidates.filter(({ index, fitness }) => index >= 0 && fitness !== null);
  const first = scored.filter(
    ({ functionalKey }, i) => scored.findIndex((c) => c.functionalKey === functionalKey) === i,
  );
  const asMember = (c: Candidate) => ({ accuracies: accuracies(c) });
  return first
    .filter((a) => !first.some((b) => dominates(asMember(b), asMember(a))))
    .map(({ index }) => `r1-${index}`);
}

/** Runs a search of a fake pool into a database in a file, telling each commit. */
async function searched(onCommit: (store: Store, db: string) => unknown = () => {}) {
  const db = join(temporaryFolder(), 'x.db');
  const store = openStore(db);
  const told: unknown[] = [];
  const onEvent = ({ type }: { type: string }) => {
    if (type === 'committed') told.push(onCommit(store, db));
  };
  await runSearch({ config: configOf(), store, pool: new FakePool(2), onEvent });
  await Promise.all(told);
  const candidates = trajectory(store, 1);
  store.close();
  return { db, candidates };
}

describe('the statistics of a run', () => {
  test('agree with its candidates', async () => {
    const { db, candidates } = await searched();
    const found = await statsOf(db);
    const proposals = candidates.filter(({ index }) => index >= 0);
    const isTrained = ({ outcome, repeat }: Candidate) =>
      repeat !== null && outcome.outcome === 'evaluated';
    expect(found).toMatchObject({ run: 1, db, state: 'finished', proposals: 150 });
    expect(found.trained).toBe(proposals.filter(isTrained).length);
    for (const name of OUTCOME_NAMES)
      expect(found.outcomes[name], name).toBe(
        proposals.filter(({ outcome }) => outcome.outcome === name).length,
      );
    expect(found.baselines.map(({ name }) => name)).toEqual(['BN-ReLU', 'ReLU']);
    expect(found.front.map(({ id }) => id).sort()).toEqual(expectedFront(candidates).sort());
    let top = -1;
    const better = proposals.filter(({ fitness }) => {
      const isBetter = fitness !== null && fitness > top;
      if (isBetter) top = fitness;
      return isBetter;
    });
    expect(found.improvements.map(({ id }) => id)).toEqual(better.map((c) => `r1-${c.index}`));
    // The fake pool takes half a second for each anchor, and for each evaluation that is rejected.
    const scores = candidates.filter(isTrained).flatMap(accuracies).length;
    const rejections = candidates.filter((c) => c.repeat !== null && !isTrained(c)).length;
    expect(found.work.evaluating).toBeCloseTo((scores + rejections) / 2, 6);
  });

  test('are whole at any moment of a run that another connection writes', async () => {
    const seen: number[] = [];
    const { db } = await searched((_, path) => {
      const reader = openStore(path, { readonly: true });
      const counts = reader.snapshot(() => ({
        listed: reader.runs.byId(1)!.proposals,
        funnel: reader.candidates.funnel(1).reduce((sum, row) => sum + row.count, 0),
      }));
      reader.close();
      expect(counts.funnel).toBe(counts.listed);
      seen.push(counts.listed);
    });
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(150);
    expect((await statsOf(db)).proposals).toBe(150);
  });

  test('tell sessions apart, and what is left of one that was killed', async () => {
    const { db } = await searched();
    const store = openStore(db);
    const run = store.runs.byId(1)!;
    const at = (minute: number) => `2030-01-01T00:0${minute}:00.000Z`;
    const begin = (minute: number, workers: number) =>
      store.beginSession(run, { started: at(minute), workers, config: run.config as object });
    const before = (await statsOf(db)).sessions.length;
    const [first, second] = [begin(1, 2), begin(3, 4)];
    const session = (number: number, seconds: number) => ({
      ...{ number, seconds, ...{ screening: 0, probes: 0, neutral: 0, tabu: 0 } },
    });
    store.commit(run, [], {
      ...{ seconds: 9, at: at(2), session: session(first, 60) },
      faults: [{ index: 7, at: at(2), kind: 'thread', message: 'gone' }],
    });
    store.stop(run, 'interrupted', {
      ...{ seconds: 9, at: at(4), session: session(second, 20), detail: 'SIGINT' },
    });
    store.close();
    const found = await statsOf(db, '1');
    expect(found).toMatchObject({ state: 'interrupted', reason: 'SIGINT' });
    expect(found.sessions.slice(before)).toMatchObject([
      { number: first, state: 'killed', reason: null, seconds: 60, workers: 2, evaluations: 0 },
      { number: second, state: 'interrupted', reason: 'SIGINT', ended: at(4), workers: 4 },
    ]);
    expect(found.work.available).toBeGreaterThanOrEqual(60 * 2 + 20 * 4);
    expect(found.faults).toEqual([{ index: 7, at: at(2), kind: 'thread', message: 'gone' }]);
    const listed = JSON.parse((await inProcess(['runs', '--json', '--db', db])).stdout);
    expect(listed).toMatchObject([
      { state: 'interrupted', reason: 'SIGINT', sessions: before + 2 },
    ]);
  });

  test('are there for people too, section by section', async () => {
    const { db } = await searched();
    const { stdout } = await inProcess(['stats', '--db', db]);
    for (const part of [
      /^run 1 in .*: finished.*, protocol [0-9a-f]{16}$/m,
      /^Funnel of 150 proposals\noutcome +proposals +share\n/m,
      /^Time of the workers\n\d+:\d\d in evaluations/m,
      /^BN-ReLU .* points$/m,
      /^The best over time\n/m,
      /^Front: \d+ layers that no other dominates\nlayer +mean +mini-wide +mini-deep +formula\n/m,
    ])
      expect(stdout).toMatch(part);
    expect(stdout).not.toMatch(/undefined|NaN/);
  });

  test('leave out what the run gave up, though another one evaluated it since', () => {
    const store = openStore(':memory:');
    const [first, second] = [beginRun(store), beginRun(store)];
    const crashed = settled(0, { outcome: { outcome: 'crashed', message: 'gone' } });
    store.commit(first, [crashed, settled(1)], TIME);
    store.commit(second, [settled(0, { structuralKey: 's' })], TIME);
    const scored = (run: number) =>
      store.stats.scored(run).functions.map(({ functionalKey }) => functionalKey);
    expect([scored(1), scored(2)]).toEqual([['f1'], ['f0']]);
    expect(store.stats.paidUpTo(1, 0)).toBe(1);
    expect(store.stats.paidUpTo(1, 1)).toBe(2);
    expect([...store.stats.paidOutcomes(1)].sort()).toEqual([
      ['crashed', 1],
      ['evaluated', 1],
    ]);
    store.close();
  });

  test('count the time of a run alone, whatever others did meanwhile', () => {
    const store = openStore(':memory:');
    const [first, second] = [beginRun(store), beginRun(store)];
    const outcome = { outcome: 'crashed', message: 'gone' } as const;
    const spending = (index: number, key: string, seconds: number) =>
      settled(index, {
        ...{ structuralKey: key, functionalKey: key, outcome },
        evaluation: { repeat: 0, outcome, seconds },
      });
    store.commit(first, [spending(0, 'k0', 1)], TIME);
    expect(store.stats.seconds(1)).toBe(1);
    store.commit(second, [spending(0, 'k1', 10)], TIME);
    store.commit(first, [spending(1, 'k2', 100)], TIME);
    store.commit(second, [spending(1, 'k3', 1000)], TIME);
    expect([1, 2].map((run) => store.stats.seconds(run))).toEqual([101, 1010]);
    store.close();
  });

  test('need a run that is there', async () => {
    const { db } = await searched();
    const absent = await inProcess(['stats', '7', '--db', db]);
    expect(absent).toMatchObject({ code: 2, stdout: '' });
    expect(absent.stderr).toMatch(/^error: There is no run 7 in /);
    const empty = join(temporaryFolder(), 'empty.db');
    openStore(empty).close();
    expect((await inProcess(['stats', '--db', empty])).stdout).toMatch(/has no runs yet/);
    expect((await inProcess(['stats', '--json', '--db', empty])).stdout).toBe('null\n');
  });
});
