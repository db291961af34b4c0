import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Candidate } from '../../db/candidates.ts';
import { openStore } from '../../db/store.ts';
import { UserError } from '../../src/errors.ts';
import { OUTCOME_NAMES } from '../../src/eval/outcome.ts';
import { isBatchIndependent, layerOf } from '../../src/graph/genome.ts';
import { runSearch, type SearchEvent } from '../../src/search/run.ts';
import type { Job } from '../../workers/messages.ts';
import { configOf, FakePool, fakeOutcome, searchIn, trajectory } from './fake.ts';

describe('the trajectory', () => {
  test('is pinned', async () => {
    const { candidates, summary } = await searchIn({ config: configOf() });
    const digest = createHash('sha256');
    for (const { origin, genome, outcome } of candidates)
      digest.update(JSON.stringify([origin, genome, outcome]));
    expect({
      counts: summary.counts,
      digest: digest.digest('hex').slice(0, 16),
    }).toMatchInlineSnapshot(`
      {
        "counts": {
          "cacheHits": {
            "functional": 0,
            "structural": 39,
          },
          "evaluated": 19,
          "outcomes": {
            "batch-dependent": 0,
            "constant": 80,
            "crashed": 0,
            "diverged": 4,
            "evaluated": 58,
            "low-quality": 8,
            "not-finite": 0,
            "timeout": 0,
            "unstable": 0,
          },
          "proposals": 150,
        },
        "digest": "2c2b18f428492bf3",
      }
    `);
  });

  test('is the same for any number of workers and any order of completion', async () => {
    const config = configOf();
    const reference = (await searchIn({ config, pool: new FakePool(1) })).candidates;
    for (const workers of [2, 5, 64])
      for (const scramble of ['a', 'b']) {
        const { candidates } = await searchIn({ config, pool: new FakePool(workers, scramble) });
        expect(candidates).toEqual(reference);
      }
  });

  test('goes on unchanged after it was stopped at any commit', async () => {
    const config = configOf({ warmStart: ['SiLU'] });
    const reference = await searchIn({ config });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 5 }),
        async (sessions, workers) => {
          const store = openStore(':memory:');
          let runId: number | undefined;
          for (const commits of [...sessions, Number.POSITIVE_INFINITY]) {
            const controller = new AbortController();
            let rest = commits;
            const onEvent = ({ type }: SearchEvent) => {
              if (type === 'committed' && --rest <= 0) controller.abort();
            };
            const pool = new FakePool(workers, commits);
            const resumed = runId === undefined ? {} : { runId };
            const { signal } = controller;
            const summary = await runSearch({ config, store, pool, signal, onEvent, ...resumed });
            runId = summary.runId;
            if (summary.stopped === 'interrupted') continue;
            expect(summary.counts).toEqual(reference.summary.counts);
            break;
          }
          expect(trajectory(store, runId as number)).toEqual(reference.candidates);
          store.close();
        },
      ),
      { numRuns: 8 },
    );
  });

  test('does not depend on results inside the lookahead', async () => {
    // Whatever the last proposals gave, the proposals up to `lookahead` later are the same genomes.
    const config = configOf({ stop: { proposals: 100 }, lookahead: 20 });
    const reference = await searchIn({ config });
    const from = 60;
    const changed = new Set(
      reference.candidates
        .filter(({ index }) => index >= from)
        .map(({ genome }) => JSON.stringify(genome)),
    );
    const other = (job: Job) =>
      changed.has(JSON.stringify(job.genome))
        ? ({ outcome: 'diverged', anchor: 'mini-wide', step: 1 } as const)
        : fakeOutcome(job);
    const { candidates } = await searchIn({ config, pool: new FakePool(2, 0, other) });
    const genomes = (all: readonly Candidate[], end: number) =>
      all.filter(({ index }) => index < end).map(({ genome }) => genome);
    const seen = from + config.lookahead;
    expect(genomes(candidates, seen)).toEqual(genomes(reference.candidates, seen));
    expect(genomes(candidates, 100)).not.toEqual(genomes(reference.candidates, 100));
  });

  test('of random search has no parents', async () => {
    const { candidates } = await searchIn({ config: configOf({ algorithm: 'random' }) });
    expect(new Set(candidates.map(({ origin }) => origin.kind))).toEqual(
      new Set(['baseline', 'random']),
    );
  });
});

describe('the funnel', () => {
  test('accounts for every proposal', async () => {
    const { summary, store } = await searchIn({ config: configOf() });
    const { counts } = summary;
    expect(counts.proposals).toBe(150);
    expect(OUTCOME_NAMES.reduce((sum, name) => sum + counts.outcomes[name], 0)).toBe(150);
    const proposals = [...store.candidates.ofRun(summary.runId)].filter(({ index }) => index >= 0);
    expect(proposals.map(({ index }) => index)).toEqual(Array.from({ length: 150 }, (_, i) => i));
    for (const { index, origin } of proposals)
      if (origin.kind === 'mutation') expect(origin.parent).toBeLessThanOrEqual(index - 8);
  });

  test('evaluates no function twice under one protocol, also across runs', async () => {
    const store = openStore(':memory:');
    const seeds: string[] = [];
    for (const seed of [7, 8, 7]) {
      const pool = new FakePool(3, seed);
      await runSearch({ config: configOf({ seed }), store, pool });
      seeds.push(...pool.jobs.map((job) => job.seed));
    }
    expect(seeds.length).toBeGreaterThan(20);
    expect(new Set(seeds).size).toBe(seeds.length);
  });

  test('evaluates everything anew under another protocol', async () => {
    const store = openStore(':memory:');
    const counts = [];
    for (const steps of [300, 200]) {
      const pool = new FakePool(3);
      await runSearch({ config: configOf({ protocol: { steps } }), store, pool });
      counts.push(pool.jobs.length);
    }
    expect(counts[1]).toBe(counts[0]);
  });

  test('answers a repeated run from the cache, with the same fitness', async () => {
    const store = openStore(':memory:');
    const first = await searchIn({ config: configOf(), store });
    const pool = new FakePool(2);
    const second = await searchIn({ config: configOf(), store, pool });
    expect(pool.jobs).toEqual([]);
    const kept = ({ candidates }: typeof first) =>
      candidates.map(({ genome, outcome, fitness }) => ({ genome, outcome, fitness }));
    expect(kept(second)).toEqual(kept(first));
    expect(second.summary.counts.evaluated).toBe(0);
    const { outcomes, cacheHits } = second.summary.counts;
    const free = outcomes['not-finite'] + outcomes.constant;
    expect(cacheHits.structural + cacheHits.functional).toBe(150 - free);
  });

  test('sees other runs as they were when the run began', async () => {
    const config = configOf();
    const alone = await searchIn({ config });
    const store = openStore(':memory:');
    const controller = new AbortController();
    const onEvent = ({ type }: SearchEvent) => type === 'committed' && controller.abort();
    const pool = new FakePool(2);
    const { runId } = await runSearch({ config, store, pool, signal: controller.signal, onEvent });
    await runSearch({ config: configOf({ seed: 8 }), store, pool });
    await runSearch({ config, store, pool });
    await runSearch({ config, store, pool, runId });
    expect(trajectory(store, runId)).toEqual(alone.candidates);
  });

  test('lets proposals of one function wait for one evaluation', async () => {
    // Two-node genomes collide all the time; with this lookahead nearly always in flight.
    const config = configOf({ genomeNodes: 2, lookahead: 100, algorithm: 'random', baselines: [] });
    const pool = new FakePool(4, 'x');
    const { summary, candidates } = await searchIn({ config, pool });
    expect(new Set(pool.jobs.map((job) => job.seed)).size).toBe(pool.jobs.length);
    expect(summary.counts.cacheHits.structural).toBeGreaterThan(5);
    for (const { functionalKey, repeat, outcome } of candidates) {
      if (functionalKey === null || repeat !== null) continue;
      const leader = candidates.find((c) => c.functionalKey === functionalKey);
      expect(leader?.repeat).toBe(0);
      expect(JSON.stringify(leader?.outcome)).toBe(JSON.stringify(outcome));
    }
  });

  test('rejects batch-dependent layers where that is asked for, but not the baselines', async () => {
    const { store, summary } = await searchIn({ config: configOf({ batchIndependent: true }) });
    expect(summary.counts.outcomes['batch-dependent']).toBeGreaterThan(0);
    for (const { index, genome, outcome } of trajectory(store, summary.runId))
      if (index >= 0 && outcome.outcome === 'evaluated')
        expect(isBatchIndependent(layerOf(genome)), `proposal ${index}`).toBe(true);
    expect(store.candidates.at(summary.runId, -2)?.origin).toEqual({
      kind: 'baseline',
      name: 'BN-ReLU',
    });
    expect(store.candidates.at(summary.runId, -2)?.outcome.outcome).not.toBe('batch-dependent');
    const other = await searchIn({ config: configOf() });
    expect(other.summary.counts.outcomes['batch-dependent']).toBe(0);
  });
});

describe('failing workers', () => {
  test('get a second chance, then the candidate is stored as crashed', async () => {
    const failures = new Map<string, number>();
    const shaky = (job: Job) => {
      const failed = failures.get(job.seed) ?? 0;
      failures.set(job.seed, failed + 1);
      const outcome = fakeOutcome(job);
      if (outcome.outcome === 'diverged') throw new Error('segmentation fault');
      if (outcome.outcome === 'low-quality' && failed === 0) throw new Error('hiccup');
      return outcome;
    };
    const config = configOf();
    const events: SearchEvent[] = [];
    const onEvent = (event: SearchEvent) => events.push(event);
    const pool = new FakePool(2, 0, shaky);
    const { summary } = await searchIn({ config, pool, onEvent });
    const { outcomes } = summary.counts;
    expect(outcomes.crashed).toBeGreaterThan(0);
    expect(outcomes.diverged).toBe(0);
    expect(outcomes['low-quality']).toBeGreaterThan(0);
    expect(events.some((e) => e.type === 'fault' && e.message === 'hiccup')).toBe(true);
    expect(summary.counts.proposals).toBe(config.stop.proposals);
  });

  test('that are broken for good end the run with their message; the run can go on', async () => {
    const config = configOf();
    const reference = await searchIn({ config });
    const store = openStore(':memory:');
    let jobs = 0;
    const broken = (job: Job) => {
      if (++jobs > 10) throw new UserError('The native engine does not load.');
      return fakeOutcome(job);
    };
    const run = runSearch({ config, store, pool: new FakePool(2, 0, broken) });
    await expect(run).rejects.toThrow('The native engine does not load.');
    const stored = trajectory(store, 1);
    expect(stored).toEqual(reference.candidates.slice(0, stored.length));
    expect(stored.length).toBeGreaterThan(0);
    await runSearch({ config, store, pool: new FakePool(2), runId: 1 });
    expect(trajectory(store, 1)).toEqual(reference.candidates);
  });

  test('do not make other runs believe in a crash', async () => {
    const store = openStore(':memory:');
    const crash = (job: Job) => {
      const outcome = fakeOutcome(job);
      if (outcome.outcome !== 'evaluated') throw new Error('out of memory');
      return outcome;
    };
    const config = configOf();
    const first = await searchIn({ config, store, pool: new FakePool(2, 0, crash) });
    expect(first.summary.counts.outcomes.crashed).toBeGreaterThan(0);
    const second = await searchIn({ config, store });
    expect(second.summary.counts.outcomes.crashed).toBe(0);
    expect(second.candidates).not.toEqual(first.candidates);
  });
});

describe('events', () => {
  test('tell each commit with counts that add up, the baselines, and the best', async () => {
    const events: SearchEvent[] = [];
    const onEvent = (event: SearchEvent) => events.push(event);
    let time = 0;
    const now = () => (time += 10);
    const { summary } = await searchIn({ config: configOf(), onEvent, clock: { now } });
    expect(events[0]?.type).toBe('started');
    const baselines = events.flatMap((e) => (e.type === 'baseline' ? [e.name] : []));
    expect(baselines).toEqual(['BN-ReLU', 'ReLU']);
    let proposals = 0;
    let best = 0;
    for (const event of events) {
      if (event.type !== 'committed') continue;
      const { candidates, progress } = event;
      const own = candidates.filter(({ index }) => index >= 0);
      proposals += own.length;
      best = Math.max(best, ...own.map(({ fitness }) => fitness ?? 0));
      expect(progress.counts.proposals).toBe(proposals);
      expect(progress.best?.fitness ?? 0).toBe(best);
      expect(progress.total).toBe(150);
    }
    expect(proposals).toBe(150);
    expect(summary.best?.fitness).toBe(best);
    expect(summary.seconds).toBeGreaterThan(0);
  });

  test('need not come: a run can be stopped before it begins', async () => {
    const { summary, candidates } = await searchIn({
      config: configOf(),
      signal: AbortSignal.abort(),
    });
    expect(summary.stopped).toBe('interrupted');
    expect(candidates).toEqual([]);
  });
});
