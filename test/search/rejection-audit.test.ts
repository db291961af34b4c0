import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { RejectionAudit } from '../../db/audits.ts';
import { openStore, type Store } from '../../db/store.ts';
import { UserError } from '../../src/errors.ts';
import { EARLY_REJECTIONS, type Outcome } from '../../src/eval/outcome.ts';
import { overrideProtocol } from '../../src/eval/presets.ts';
import { isRejectionAudited, withoutTests } from '../../src/search/audit.ts';
import type { SearchConfig } from '../../src/search/config.ts';
import { runSearch, type SearchEvent } from '../../src/search/run.ts';
import type { Job } from '../../workers/messages.ts';
import { temporaryFolder } from '../cli/process.ts';
import { contentOf } from '../faults/killing.ts';
import { configOf, FakePool, fakeOutcome, searchIn, trajectory, unitOf } from './fake.ts';

const config = (rejectionAudit: number, flags: object = {}): SearchConfig =>
  configOf({ stop: { proposals: 300 }, rejectionAudit, ...flags });

/** Short genomes meet again all the time. */
const SHORT = { genomeNodes: 3, stop: { proposals: 600 } };

/** Only the audit of a rejection is without the quality test. */
const isAudit = ({ protocol }: Job) => protocol.quality.steps === 0;

const isEarly = ({ outcome }: Outcome) => EARLY_REJECTIONS.some((name) => name === outcome);

/** As others are evaluated, but some turn out to be unstable; in an audit no test ends anything. */
function outcomeOf(job: Job): Outcome {
  const [anchor] = job.protocol.anchors as [string];
  const text = JSON.stringify(job.genome);
  const tested = fakeOutcome(job);
  if (!isAudit(job))
    return tested.outcome === 'evaluated' && unitOf(`unstable ${text}`) < 0.2
      ? { outcome: 'unstable', anchor, ascentStep: 7, gradientNorm: 2e8 }
      : tested;
  if (unitOf(`late ${text}`) < 0.3) return { outcome: 'diverged', anchor, step: 200 };
  const perAnchor = job.protocol.anchors.map((name) => ({
    ...{ anchor: name, accuracy: unitOf(`late ${name} ${text}`), loss: 1 },
    ...{ steps: job.protocol.steps, seconds: 0.5 },
  }));
  return { outcome: 'evaluated', perAnchor };
}

const pool = (workers = 2, scramble: string | number = 0, evaluate = outcomeOf) =>
  new FakePool(workers, scramble, evaluate);

/** Without times. */
const auditsOf = (store: Store, run = 1): Omit<RejectionAudit, 'seconds'>[] =>
  store.audits.rejections(run).map(({ seconds: _, ...audit }) => audit);

const timeless = (outcome: Outcome) => JSON.stringify(outcome).replaceAll(/"seconds":[\d.]+/g, '');

describe('audits of rejections', () => {
  test('change no row of a run, and are of all its own early rejections where the share is 1', async () => {
    const contents: Record<string, string[]>[] = [];
    const summaries = [];
    for (const share of [0, 0.3, 1]) {
      const db = join(temporaryFolder(), 'x.db');
      const store = openStore(db);
      const { summary } = await searchIn({ config: config(share), store, pool: pool() });
      store.close();
      contents.push(contentOf(db));
      summaries.push(summary.counts);
    }
    const [none, some, all] = contents.map(({ audits: _, ...rest }) => rest);
    expect(some).toEqual(none);
    expect(all).toEqual(none);
    expect(summaries[1]).toEqual(summaries[0]);
    expect(summaries[2]).toEqual(summaries[0]);
    const rows = all!.candidates!.map((row) => JSON.parse(row));
    const rejected = rows.filter(
      ({ idx, repeat, outcome }) => idx >= 0 && repeat !== null && isEarly({ outcome } as Outcome),
    );
    expect(rejected.length).toBeGreaterThan(10);
    expect(new Set(rejected.map(({ outcome }) => outcome))).toEqual(new Set(EARLY_REJECTIONS));
    const audited = (content: Record<string, string[]>) =>
      content.audits!.map((row) => JSON.parse(row).candidate);
    expect(audited(contents[0]!)).toEqual([]);
    expect(audited(contents[2]!)).toEqual(rejected.map(({ id }) => id));
    const third = config(0.3);
    expect(audited(contents[1]!)).toEqual(
      rejected
        .filter(({ idx, outcome }) => isRejectionAudited(idx, { outcome } as Outcome, third))
        .map(({ id }) => id),
    );
    expect(audited(contents[1]!).length).toBeGreaterThan(0);
  });

  test('are the very training that the test ended: same genome, same seed, no tests', async () => {
    const workers = pool(3);
    const { store, candidates } = await searchIn({ config: config(1), pool: workers });
    const { protocol } = config(1);
    const audits = auditsOf(store);
    const jobs = workers.jobs.filter(isAudit);
    expect(jobs.length).toBe(audits.length);
    for (const { index, functionalKey, outcome, rejection } of audits) {
      const candidate = candidates.find((each) => each.index === index)!;
      expect(rejection).toEqual(candidate.outcome);
      const [tested, toTheEnd] = [false, true].map((audit) =>
        workers.jobs.find((job) => job.seed.includes(functionalKey) && isAudit(job) === audit),
      );
      expect(toTheEnd).toEqual({
        ...{ genome: candidate.genome, seed: tested!.seed },
        protocol: { ...protocol, quality: { ...protocol.quality, steps: 0 } },
      });
      expect(timeless(outcome)).toBe(timeless(outcomeOf(toTheEnd!)));
    }
  });

  test('leave both tests out of the protocol and nothing else', () => {
    const { protocol } = config(1);
    const stable = overrideProtocol(protocol, { stability: {} });
    expect(stable).toHaveProperty('stability');
    const expected = { ...protocol, quality: { ...protocol.quality, steps: 0 } };
    expect(withoutTests(stable)).toEqual(expected);
    expect(withoutTests(protocol)).toEqual(expected);
  });

  test('leave known layers and hits alone', async () => {
    const rejecting = (job: Job): Outcome => {
      const [anchor] = job.protocol.anchors as [string];
      const numbers = { step: 100, accuracy: 0.1, minAccuracy: 0.35 };
      return isAudit(job) ? fakeOutcome(job) : { outcome: 'low-quality', anchor, ...numbers };
    };
    const workers = pool(2, 0, rejecting);
    const { store, candidates } = await searchIn({
      ...{ config: config(1, { ...SHORT, cache: { audit: 1 } }), pool: workers },
    });
    const low = candidates.filter(({ outcome }) => outcome.outcome === 'low-quality');
    const caused = low.filter(({ index, repeat }) => index >= 0 && repeat !== null);
    const hits = low.filter(({ repeat }) => repeat === null);
    expect(low.filter(({ index }) => index < 0)).toHaveLength(2);
    expect(hits.length).toBeGreaterThan(10);
    expect(auditsOf(store).map(({ index }) => index)).toEqual(caused.map(({ index }) => index));
    expect(store.audits.hits(1).map(({ index }) => index)).toEqual(hits.map(({ index }) => index));
  });

  test('look at each evaluation of a function that has several', async () => {
    const flags = { ...SHORT, cache: { evaluations: 3, forget: 0.3 } };
    const lucky = (job: Job): Outcome => {
      const [anchor] = job.protocol.anchors as [string];
      const numbers = { step: 100, accuracy: 0.1, minAccuracy: 0.35 };
      if (isAudit(job)) return outcomeOf(job);
      const luck = unitOf(job.seed);
      if (luck < 0.2) return { outcome: 'diverged', anchor, step: 3 };
      return luck < 0.5 ? { outcome: 'low-quality', anchor, ...numbers } : outcomeOf(job);
    };
    const [none, all] = [pool(2, 0, lucky), pool(2, 0, lucky)];
    const plain = await searchIn({ config: config(0, flags), pool: none });
    const { store, candidates } = await searchIn({ config: config(1, flags), pool: all });
    expect(candidates).toEqual(plain.candidates);
    const early = none.jobs.filter((job) => isEarly(lucky(job)));
    const known = candidates.filter((c) => c.index < 0 && isEarly(c.outcome)).length;
    expect(auditsOf(store)).toHaveLength(early.length - known);
    const audited = all.jobs.filter(isAudit).map(({ seed }) => seed);
    const seeds = new Set(early.map(({ seed }) => seed));
    expect(audited.filter((seed) => !seeds.has(seed))).toEqual([]);
    expect(audited).toHaveLength(early.length - known);
    // Where an earlier rejection is what the candidate is worth, its own is what counts here.
    const worth = new Map(candidates.map(({ index, outcome }) => [index, outcome.outcome]));
    const others = auditsOf(store).filter((a) => worth.get(a.index) !== a.rejection.outcome);
    expect(others.length).toBeGreaterThan(0);
    for (const { rejection } of auditsOf(store)) expect(isEarly(rejection)).toBe(true);
    const counted = store.audits.rejected(1).filter((row) => isEarly(row as Outcome));
    expect(counted.reduce((sum, { count }) => sum + count, 0)).toBe(auditsOf(store).length);
  });

  test('are the same for any number of workers, and after any stop', async () => {
    const reference = await searchIn({ config: config(0.5), pool: pool(1) });
    const expected = auditsOf(reference.store);
    expect(expected.length).toBeGreaterThan(5);
    const wide = await searchIn({ config: config(0.5), pool: pool(64, 'a') });
    expect(wide.candidates).toEqual(reference.candidates);
    expect(auditsOf(wide.store)).toEqual(expected);
    const store = openStore(':memory:');
    for (let session = 0; ; session++) {
      const controller = new AbortController();
      let commits = 0;
      const onEvent = ({ type }: SearchEvent) => {
        if (type === 'committed' && ++commits === 3) controller.abort();
      };
      const { stopped } = await runSearch({
        ...{ config: config(0.5), store, pool: pool(2, session), onEvent },
        ...{ signal: controller.signal, ...(session > 0 && { runId: 1 }) },
      });
      if (stopped === 'finished') break;
    }
    expect(store.sessions.ofRun(1).length).toBeGreaterThan(3);
    expect(trajectory(store, 1)).toEqual(reference.candidates);
    expect(auditsOf(store)).toEqual(expected);
  });

  test('that are under way when the run stops are made again when it goes on', async () => {
    const reference = await searchIn({ config: config(1), pool: pool() });
    const store = openStore(':memory:');
    const controller = new AbortController();
    let begun = 0;
    const stopping = (job: Job) => {
      if (isAudit(job) && ++begun === 4) controller.abort();
      return outcomeOf(job);
    };
    const { signal } = controller;
    const stopped = await runSearch({
      ...{ config: config(1), store, pool: pool(2, 0, stopping), signal },
    });
    expect(stopped.stopped).toBe('interrupted');
    expect(auditsOf(store).length).toBeLessThan(4);
    await runSearch({ config: config(1), store, pool: pool(), runId: 1 });
    expect(trajectory(store, 1)).toEqual(reference.candidates);
    expect(auditsOf(store)).toEqual(auditsOf(reference.store));
  });

  test('that crash or run out of time do no harm', async () => {
    const anchor = config(1).protocol.anchors[0]!;
    const plain = await searchIn({ config: config(0), pool: pool() });
    const third = (job: Job) => Math.floor(3 * unitOf(job.seed));
    const shaky = (job: Job) => {
      if (!isAudit(job)) return outcomeOf(job);
      if (third(job) === 0) throw new Error('segmentation fault');
      if (third(job) === 1) return { outcome: 'timeout', anchor, step: 3, seconds: 9 } as const;
      return outcomeOf(job);
    };
    const faults: (number | null)[] = [];
    const onEvent = (event: SearchEvent) => event.type === 'fault' && faults.push(event.index);
    const workers = pool(2, 0, shaky);
    const { store, candidates, summary } = await searchIn({
      ...{ config: config(1), pool: workers, onEvent },
    });
    expect(candidates).toEqual(plain.candidates);
    expect(summary.counts).toEqual(plain.summary.counts);
    const ended = (name: string) =>
      auditsOf(store).filter(({ outcome }) => outcome.outcome === name);
    expect(ended('crashed').length).toBeGreaterThan(2);
    expect(ended('timeout').length).toBeGreaterThan(2);
    for (const { index } of ended('crashed'))
      expect(faults.filter((i) => i === index)).toHaveLength(2);
    // Nor does another run take anything from them: what was rejected is.
    const second = await searchIn({ config: config(0), store, pool: pool() });
    expect(second.summary.counts.outcomes).toEqual(plain.summary.counts.outcomes);
  });

  test('that crash one after the other do not end the run', async () => {
    const plain = await searchIn({ config: config(0), pool: pool() });
    const broken = (job: Job) => {
      if (isAudit(job)) throw new Error('illegal instruction');
      return outcomeOf(job);
    };
    const { store, candidates } = await searchIn({ config: config(1), pool: pool(2, 0, broken) });
    expect(candidates).toEqual(plain.candidates);
    expect(auditsOf(store).length).toBeGreaterThan(10);
    expect(new Set(auditsOf(store).map(({ outcome }) => outcome.outcome))).toEqual(
      new Set(['crashed']),
    );
  });

  test('that no worker can do end the run as evaluations do; it goes on with the same audits', async () => {
    const reference = await searchIn({ config: config(1), pool: pool() });
    const store = openStore(':memory:');
    let audits = 0;
    const broken = (job: Job) => {
      if (isAudit(job) && ++audits > 5) throw new UserError('The native engine does not load.');
      return outcomeOf(job);
    };
    const run = runSearch({ config: config(1), store, pool: pool(2, 0, broken) });
    await expect(run).rejects.toThrow('The native engine does not load.');
    await runSearch({ config: config(1), store, pool: pool(), runId: 1 });
    expect(trajectory(store, 1)).toEqual(reference.candidates);
    expect(auditsOf(store)).toEqual(auditsOf(reference.store));
  });

  test('are of the share of early rejections that is asked for', () => {
    const anchor = 'a';
    const unstable: Outcome = { outcome: 'unstable', anchor, ascentStep: 1, gradientNorm: 1e9 };
    const audited = (share: number, outcome: Outcome = unstable) => {
      const settings = config(share);
      return Array.from({ length: 20_000 }, (_, i) => i).filter((i) =>
        isRejectionAudited(i, outcome, settings),
      );
    };
    expect(audited(0)).toHaveLength(0);
    expect(audited(1)).toHaveLength(20_000);
    const tenth = new Set(audited(0.1));
    // 2,000 ± 42
    expect(Math.abs(tenth.size - 2000)).toBeLessThan(170);
    // Who is audited at a smaller share is audited at a larger one.
    expect(audited(0.01).filter((i) => !tenth.has(i))).toEqual([]);
    expect(audited(1, { outcome: 'diverged', anchor, step: 3 })).toEqual([]);
    expect(audited(1, { outcome: 'crashed', message: 'gone' })).toEqual([]);
    expect(audited(1, { outcome: 'evaluated', perAnchor: [] })).toEqual([]);
  });
});
