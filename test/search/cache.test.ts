import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Candidate } from '../../db/candidates.ts';
import { openStore, type Store } from '../../db/store.ts';
import type { Outcome } from '../../src/eval/outcome.ts';
import type { Protocol } from '../../src/eval/protocol.ts';
import type { SearchConfig } from '../../src/search/config.ts';
import { Recency } from '../../src/search/recency.ts';
import { runSearch, type SearchEvent } from '../../src/search/run.ts';
import type { Job } from '../../workers/messages.ts';
import { inFolder } from '../db/records.ts';
import { configOf, FakePool, searchIn, trajectory, unitOf } from './fake.ts';
import { type Committed, verdicts } from './policy.ts';

/** What an evaluation gives, by its seed alone: another evaluation of the same function may fail where one did not. */
function luck(seed: string, { anchors, steps }: Protocol): Outcome {
  const anchor = anchors[0]!;
  const drawn = unitOf(seed);
  if (drawn < 0.25) return { outcome: 'diverged', anchor, step: Math.floor(1000 * drawn) };
  if (drawn < 0.35) return { outcome: 'timeout', anchor, step: 1, seconds: 9 };
  const perAnchor = anchors.map((name) => ({
    ...{ anchor: name, accuracy: unitOf(`${name} ${seed}`), loss: drawn, steps, seconds: 1 },
  }));
  return { outcome: 'evaluated', perAnchor };
}

const lucky = (workers: number, scramble: string | number = 0) =>
  new FakePool(workers, scramble, ({ seed, protocol }: Job) => luck(seed, protocol));

/** Short genomes, which compute the same functions again and again. */
const smallConfig = (flags: object): SearchConfig =>
  configOf({
    ...{ stop: { proposals: 70 }, genomeNodes: 3, exploration: 0.5, founders: 3, ...flags },
  });

const cacheSettings = fc.record({
  by: fc.constantFrom('function', 'function', 'function', 'structure', 'nothing'),
  evaluations: fc.integer({ min: 1, max: 4 }),
  forget: fc.constantFrom(0, 0.3, 1),
  capacity: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.constant(100_000)),
  shared: fc.boolean(),
});

const configs = fc
  .record({
    cache: cacheSettings,
    lookahead: fc.integer({ min: 1, max: 40 }),
    seed: fc.integer({ min: 0, max: 2 }),
    protocol: fc.constantFrom({}, {}, { steps: 77 }),
  })
  .map(smallConfig);

/** All that is committed, in order of time. */
function committedIn(store: Store): Committed[] {
  const all: (Committed & { id: number })[] = [];
  for (const { id, config } of store.runs.list()) {
    const { protocol } = config as SearchConfig;
    for (const candidate of trajectory(store, id)) all.push({ run: id, id, protocol, candidate });
  }
  return all;
}

/** Runs a search that is stopped after as many commits as `sessions` says, one after the other, and then goes on. */
async function interrupted(
  store: Store,
  config: SearchConfig,
  sessions: readonly number[],
  between: () => Promise<void>,
): Promise<Candidate[]> {
  let runId: number | undefined;
  for (const commits of [...sessions, Number.POSITIVE_INFINITY]) {
    const controller = new AbortController();
    let rest = commits;
    const onEvent = ({ type }: SearchEvent) => {
      if (type === 'committed' && --rest <= 0) controller.abort();
    };
    const { signal } = controller;
    const resumed = runId === undefined ? {} : { runId };
    const pool = lucky(Number.isFinite(commits) ? commits : 3, commits);
    const summary = await runSearch({ config, store, pool, signal, onEvent, ...resumed });
    if (runId === undefined) await between();
    runId = summary.runId;
    if (summary.stopped === 'finished') break;
  }
  return trajectory(store, runId as number);
}

const verdictOf = ({ tier, repeat, evaluations, outcome, fitness }: Candidate) => ({
  ...{ tier, repeat, evaluations, outcome, fitness },
});

/** `luck` without what other runs do not rely on. */
const sure = (pool: number) =>
  new FakePool(pool, 0, ({ seed, protocol }: Job) => {
    const outcome = luck(seed, protocol);
    if (outcome.outcome !== 'timeout') return outcome;
    return { outcome: 'diverged', anchor: protocol.anchors[0]!, step: 1 };
  });

describe('the cache', () => {
  test('fills up from run to run, evaluates nothing twice, and knows nothing of other protocols', async () => {
    const store = openStore(':memory:');
    const jobsOf = async (flags: object) => {
      const pool = sure(3);
      const config = smallConfig({ algorithm: 'random', cache: { evaluations: 3 }, ...flags });
      const { candidates } = await searchIn({ config, store, pool });
      const functions = candidates.flatMap(({ functionalKey }) => functionalKey ?? []);
      return {
        candidates,
        functions: new Set(functions),
        seeds: pool.jobs.map(({ seed }) => seed),
      };
    };
    const first = await jobsOf({});
    const second = await jobsOf({});
    const third = await jobsOf({});
    const all = [first, second, third].flatMap(({ seeds }) => seeds);
    expect(new Set(all).size).toBe(all.length);
    expect(second.seeds.length).toBeGreaterThan(0);
    expect(second.seeds.length).toBeLessThan(first.seeds.length);
    expect((await jobsOf({})).seeds).toEqual([]);
    // Every function has its three evaluations by then, or a rejection.
    for (const { functionalKey, evaluations, outcome } of third.candidates.slice(-20))
      if (functionalKey !== null && outcome.outcome === 'evaluated') expect(evaluations).toBe(3);
    const other = await jobsOf({ protocol: { steps: 77 } });
    expect(other.seeds.length).toBe(first.seeds.length);
    expect((await jobsOf({ cache: { evaluations: 3, shared: false } })).seeds).toEqual(first.seeds);
  });

  test('never averages a rejection away', async () => {
    let rejected = 0;
    for (const seed of [1, 2, 3, 4]) {
      const config = smallConfig({ seed, lookahead: 30, cache: { evaluations: 4 } });
      const { candidates } = await searchIn({ config, pool: sure(4) });
      const fallen = new Set<string>();
      for (const { functionalKey, outcome, evaluations } of candidates) {
        if (functionalKey === null) continue;
        if (fallen.has(functionalKey)) expect(outcome.outcome).toBe('diverged');
        if (outcome.outcome === 'diverged') fallen.add(functionalKey);
        if (outcome.outcome === 'diverged' && (evaluations ?? 0) > 1) rejected++;
      }
    }
    expect(rejected).toBeGreaterThan(0);
  });

  test('does what its rules say, with any number of workers and after any interruption', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(configs, { maxLength: 2 }),
        configs,
        fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 10 }),
        fc.boolean(),
        (earlier, config, sessions, prunes) =>
          inFolder(async (folder) => {
            const path = join(folder, 'earlier.db');
            const first = openStore(path);
            for (const before of earlier)
              await runSearch({ config: before, store: first, pool: lucky(3) });
            const others = committedIn(first);
            first.close();
            const copy = (name: string) => {
              copyFileSync(path, join(folder, name));
              return openStore(join(folder, name));
            };

            const reference = copy('1.db');
            const pool = lucky(1);
            const { summary, candidates } = await searchIn({ config, store: reference, pool });
            expect(candidates.map(verdictOf)).toEqual(verdicts(candidates, others, config, luck));
            expect(candidates).toHaveLength(summary.counts.proposals + 2);
            // Single-flight: nothing is evaluated but what counts, and nothing twice.
            const caused = candidates.filter(({ repeat }) => repeat !== null);
            expect(pool.jobs).toHaveLength(caused.length);
            expect(new Set(pool.jobs.map(({ seed }) => seed)).size).toBe(caused.length);
            reference.close();

            for (const workers of [2, 5]) {
              const store = copy(`${workers}.db`);
              const again = await searchIn({ config, store, pool: lucky(workers, workers) });
              expect(again.candidates).toEqual(candidates);
              store.close();
            }
            const store = copy('interrupted.db');
            const between = async () => {
              await runSearch({ config: smallConfig({ seed: 9 }), store, pool: lucky(2) });
              if (prunes) store.prune(earlier.map((_, i) => i + 1));
            };
            expect(await interrupted(store, config, sessions, between)).toEqual(candidates);
            store.close();
          }),
      ),
      { numRuns: Number(process.env.EVOLAYER_CACHE_RUNS ?? 25) },
    );
  }, 120_000);
});

test('a function is forgotten where its stack distance is the capacity or more', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 200 }),
      fc.integer({ min: 1, max: 10 }),
      fc.nat(200),
      fc.nat(3),
      (keys, capacity, from, more) => {
        const before = Math.min(from, keys.length);
        const recency = new Recency(capacity, before + more);
        for (const [i, key] of keys.entries()) {
          if (i < before) continue;
          const isThere = recency.touch(String(key), () => keys.slice(0, i).map(String));
          const last = keys.lastIndexOf(key, i - 1);
          const distance = new Set(keys.slice(last + 1, i)).size;
          if (i > 0 && last >= 0) expect(isThere).toBe(distance < capacity);
        }
      },
    ),
  );
});

test.each([{}, { evaluations: 3 }, { forget: 0.5 }, { by: 'structure' }, { by: 'nothing' }])(
  'the statistics tell what the first candidate of each function was worth: %j',
  async (cache) => {
    const { store, summary, candidates } = await searchIn({
      ...{ config: smallConfig({ cache }), pool: lucky(2) },
    });
    const firsts = new Map<string, unknown>();
    for (const { index, functionalKey, outcome, fitness } of candidates) {
      if (index < 0 || functionalKey === null || outcome.outcome !== 'evaluated') continue;
      const accuracies = outcome.perAnchor.map(({ accuracy }) => accuracy);
      if (!firsts.has(functionalKey))
        firsts.set(functionalKey, { index, functionalKey, fitness, accuracies });
    }
    expect(firsts.size).toBeGreaterThan(3);
    const { anchors, functions } = store.stats.scored(summary.runId);
    expect(functions).toEqual([...firsts.values()]);
    expect(anchors).toHaveLength(functions[0]!.accuracies.length);
  },
);
