import { describe, expect, test } from 'vitest';
import type { HitAudit } from '../../db/audits.ts';
import { openStore, type Store } from '../../db/store.ts';
import { UserError } from '../../src/errors.ts';
import { evaluationSeed } from '../../src/eval/protocol.ts';
import { isAudited } from '../../src/search/audit.ts';
import type { SearchConfig } from '../../src/search/config.ts';
import { runSearch, type SearchEvent } from '../../src/search/run.ts';
import type { Job } from '../../workers/messages.ts';
import { configOf, FakePool, fakeOutcome, searchIn, trajectory } from './fake.ts';

/** Short genomes, which meet again all the time. */
const config = (audit: number, flags: object = {}): SearchConfig =>
  configOf({ genomeNodes: 3, cache: { audit }, ...flags });

const isAudit = ({ seed }: Job) => seed.includes('/audit/');

/** Without times. */
const auditsOf = (store: Store, run = 1): Omit<HitAudit, 'seconds'>[] =>
  store.audits.hits(run).map(({ seconds: _, ...audit }) => audit);

/** All hits of a run. */
const hitsOf = (store: Store) =>
  trajectory(store, 1).filter((c) => c.functionalKey !== null && c.repeat === null);

describe('audits', () => {
  test('change nothing of a run', async () => {
    const [none, some, all] = await Promise.all(
      [0, 0.1, 1].map((audit) => searchIn({ config: config(audit) })),
    );
    expect(some!.candidates).toEqual(none!.candidates);
    expect(all!.candidates).toEqual(none!.candidates);
    expect(some!.summary.counts).toEqual(none!.summary.counts);
    expect(all!.summary.counts).toEqual(none!.summary.counts);
    const hits = hitsOf(all!.store);
    expect(hits.length).toBeGreaterThan(30);
    const indices = ({ store }: typeof none & object) => auditsOf(store).map(({ index }) => index);
    expect(indices(none!)).toEqual([]);
    expect(indices(all!)).toEqual(hits.map(({ index }) => index));
    const tenth = config(0.1);
    expect(indices(some!)).toEqual(indices(all!).filter((i) => isAudited(i, tenth)));
    expect(indices(some!).length).toBeGreaterThan(0);
  });

  test('evaluate the hit’s own graph, with a seed that nothing else has', async () => {
    const pool = new FakePool(3);
    const { store, candidates } = await searchIn({ config: config(1), pool });
    const audited = pool.jobs.filter(isAudit);
    expect(audited.length).toBe(auditsOf(store).length);
    expect(new Set(pool.jobs.map(({ seed }) => seed)).size).toBe(pool.jobs.length);
    const { protocol } = config(1);
    for (const { index, functionalKey, tier, outcome, taken, evaluations } of auditsOf(store)) {
      const seed = evaluationSeed(protocol, functionalKey, `audit/${index}`);
      const job = audited.find((each) => each.seed === seed)!;
      const candidate = candidates.find((each) => each.index === index)!;
      expect(job.genome).toEqual(candidate.genome);
      expect(JSON.stringify(outcome).replaceAll('"seconds":0.5', '"seconds":0')).toBe(
        JSON.stringify(fakeOutcome(job)).replaceAll('"seconds":0.5', '"seconds":0'),
      );
      expect({ tier, taken, evaluations }).toEqual({
        ...{ tier: candidate.tier, taken: candidate.outcome, evaluations: candidate.evaluations },
      });
    }
  });

  test('are the same for any number of workers, and after any stop', async () => {
    const reference = await searchIn({ config: config(0.3), pool: new FakePool(1) });
    const expected = auditsOf(reference.store);
    expect(expected.length).toBeGreaterThan(10);
    const wide = await searchIn({ config: config(0.3), pool: new FakePool(64, 'a') });
    expect(auditsOf(wide.store)).toEqual(expected);
    const store = openStore(':memory:');
    for (let session = 0; ; session++) {
      const controller = new AbortController();
      let commits = 0;
      const onEvent = ({ type }: SearchEvent) => {
        if (type === 'committed' && ++commits === 3) controller.abort();
      };
      const { stopped } = await runSearch({
        ...{ config: config(0.3), store, pool: new FakePool(2, session), onEvent },
        ...{ signal: controller.signal, ...(session > 0 && { runId: 1 }) },
      });
      if (stopped === 'finished') break;
    }
    expect(trajectory(store, 1)).toEqual(reference.candidates);
    expect(auditsOf(store)).toEqual(expected);
  });

  test('that crash or run out of time do no harm', async () => {
    const anchor = config(1).protocol.anchors[0]!;
    const plain = await searchIn({ config: config(0) });
    const shaky = (job: Job) => {
      if (!isAudit(job)) return fakeOutcome(job);
      const [, index] = job.seed.split('/audit/');
      if (Number(index) % 3 === 0) throw new Error('segmentation fault');
      if (Number(index) % 3 === 1)
        return { outcome: 'timeout', anchor, step: 3, seconds: 9 } as const;
      return fakeOutcome(job);
    };
    const faults: (number | null)[] = [];
    const onEvent = (event: SearchEvent) => event.type === 'fault' && faults.push(event.index);
    const pool = new FakePool(2, 0, shaky);
    const { store, candidates } = await searchIn({ config: config(1), pool, onEvent });
    expect(candidates).toEqual(plain.candidates);
    const crashed = auditsOf(store).filter(({ outcome }) => outcome.outcome === 'crashed');
    expect(crashed.length).toBeGreaterThan(2);
    for (const { index } of crashed) expect(faults.filter((i) => i === index)).toHaveLength(2);
    for (const { index, outcome } of auditsOf(store)) {
      if (index % 3 === 0) expect(outcome).toMatchObject({ outcome: 'crashed' });
      if (index % 3 === 1) expect(outcome).toMatchObject({ outcome: 'timeout', step: 3 });
    }
    // Nor does another run take anything from them.
    const second = await searchIn({ config: config(0), store });
    expect(second.summary.counts.outcomes.crashed).toBe(0);
    expect(second.summary.counts.outcomes.timeout).toBe(0);
  });

  test('that crash one after the other do not end the run', async () => {
    const broken = (job: Job) => {
      if (isAudit(job)) throw new Error('illegal instruction');
      return fakeOutcome(job);
    };
    const store = openStore(':memory:');
    const first = await searchIn({ config: config(0), store });
    // Everything is in the cache, so that audits are all that is evaluated.
    const pool = new FakePool(2, 0, broken);
    const { summary, candidates } = await searchIn({ config: config(1), store, pool });
    expect(pool.jobs.length).toBeGreaterThan(30);
    expect(pool.jobs.every(isAudit)).toBe(true);
    expect(summary.counts.outcomes).toEqual(first.summary.counts.outcomes);
    expect(candidates.map(({ outcome }) => outcome)).toEqual(
      first.candidates.map(({ outcome }) => outcome),
    );
    expect(new Set(auditsOf(store, 2).map(({ outcome }) => outcome.outcome))).toEqual(
      new Set(['crashed']),
    );
  });

  test('that no worker can do end the run as evaluations do; it goes on with the same audits', async () => {
    const reference = await searchIn({ config: config(1) });
    const store = openStore(':memory:');
    let audits = 0;
    const broken = (job: Job) => {
      if (isAudit(job) && ++audits > 10) throw new UserError('The native engine does not load.');
      return fakeOutcome(job);
    };
    const run = runSearch({ config: config(1), store, pool: new FakePool(2, 0, broken) });
    await expect(run).rejects.toThrow('The native engine does not load.');
    await runSearch({ config: config(1), store, pool: new FakePool(2), runId: 1 });
    expect(trajectory(store, 1)).toEqual(reference.candidates);
    expect(auditsOf(store)).toEqual(auditsOf(reference.store));
  });

  test('are of the share of hits that is asked for', () => {
    const audited = (audit: number) => {
      const settings = config(audit);
      return Array.from({ length: 20_000 }, (_, i) => i).filter((i) => isAudited(i, settings));
    };
    expect(audited(0)).toHaveLength(0);
    expect(audited(1)).toHaveLength(20_000);
    const tenth = new Set(audited(0.1));
    // 2,000 ± 42
    expect(Math.abs(tenth.size - 2000)).toBeLessThan(170);
    // Who is audited at a smaller share is audited at a larger one.
    expect(audited(0.01).filter((i) => !tenth.has(i))).toEqual([]);
  });
});
