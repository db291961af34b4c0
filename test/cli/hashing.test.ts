import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Run } from '../../db/runs.ts';
import { openStore, type Settled, type Store } from '../../db/store.ts';
import type { Outcome } from '../../src/eval/outcome.ts';
import { auditsOf, hashingOf } from '../../src/reading/hashing.ts';
import { statistics } from '../../src/web/server/answers/stats.ts';
import { beginRun, evaluated, settled, TIME } from '../db/records.ts';
import { evolayer, inProcess, TINY, temporaryFolder } from './process.ts';

const DIVERGED: Outcome = { outcome: 'diverged', anchor: 'anchor-0', step: 3 };

/** A hit; without `repeat` it takes over the outcome. */
const hit = (
  index: number,
  tier: 'structural' | 'functional',
  changes: Partial<Settled> & { repeat?: number },
): Settled => settled(index, { tier, repeat: null, ...changes });

const audit = (outcome: Outcome) => ({ kind: 'hit', outcome, seconds: 3 }) as const;

/** What the statistics say of a run, whose evaluations took `paid` seconds. */
function statsOf(store: Store, run: Run, paid: { evaluations: number; seconds: number }) {
  const sessions = store.sessions.ofRun(run.id);
  return hashingOf(
    store,
    { run: store.runs.byId(run.id)!, sessions },
    { funnel: store.candidates.funnel(run.id), candidates: 8, ...paid },
  );
}

/** Each anchor of an evaluation takes 2 s, a rejection 2 s. */
const FUNNEL: readonly Settled[] = [
  settled(-1, { origin: { kind: 'baseline', name: 'ReLU' } }),
  settled(0),
  hit(1, 'structural', { structuralKey: 's0', functionalKey: 'f0' }),
  hit(2, 'functional', { functionalKey: 'f0' }),
  settled(3, { outcome: DIVERGED }),
  hit(4, 'structural', { structuralKey: 's3', functionalKey: 'f3', outcome: DIVERGED }),
  hit(5, 'functional', { functionalKey: 'f0', repeat: 1, evaluations: 2 }),
  settled(6, { functionalKey: null, repeat: null, outcome: { outcome: 'constant' } }),
];

describe('the statistics of the cache', () => {
  test('weigh what hits spared, each as what it took over', () => {
    const store = openStore(':memory:');
    const run = beginRun(store);
    const number = store.beginSession(run, { started: TIME.at, workers: 1, config: {} });
    const cost = { screening: 0.5, probes: 4, neutral: 7, tabu: 3 };
    const session = { number, seconds: 20, ...cost };
    store.commit(run, FUNNEL, { ...TIME, seconds: 20, session });
    const found = statsOf(store, run, { evaluations: 4, seconds: 14 });
    expect(found).toEqual({
      ...{
        functions: 6,
        hits: { structural: { full: 2, partial: 0 }, functional: { full: 1, partial: 1 } },
      },
      ...{ hitRate: 0.5, keys: 18, probes: 4, screening: 0.5, screeningShare: 0.025 },
      ...{ redraws: { neutral: 7, tabu: 3 }, paid: 14 },
      // Two hits of 4 s, and one of 2 s.
      spared: 10,
      speedUp: 24 / 14.5,
      textbookSpeedUp: expect.closeTo(1 / (0.5 / 6 / 3.5 + 0.5), 12),
    });
    store.close();
  });

  test('know what other runs paid, under the same protocol', () => {
    const store = openStore(':memory:');
    store.commit(beginRun(store), FUNNEL, TIME);
    const hits = [
      hit(-1, 'structural', { structuralKey: 's0', functionalKey: 'f0' }),
      hit(0, 'functional', { functionalKey: 'f3', outcome: DIVERGED }),
    ];
    const [same, other] = [beginRun(store), beginRun(store, 'p2')];
    store.commit(same, hits, TIME);
    store.commit(other, hits, TIME);
    expect(statsOf(store, same, { evaluations: 0, seconds: 0 })).toMatchObject({
      ...{ functions: 1, hitRate: 1, spared: 6, speedUp: null, textbookSpeedUp: null },
    });
    expect(statsOf(store, other, { evaluations: 0, seconds: 0 }).spared).toBe(0);
    store.close();
  });

  test('leave open what runs of old versions did not note', () => {
    const store = openStore(':memory:');
    const run = beginRun(store);
    store.commit(run, FUNNEL, TIME);
    expect(statsOf(store, run, { evaluations: 4, seconds: 14 })).toMatchObject({
      ...{ probes: null, screening: null, screeningShare: null, keys: 8 },
      speedUp: 24 / 14,
    });
    expect(auditsOf(store, run)).toBeNull();
    store.close();
  });
});

describe('the statistics of audits', () => {
  test('tell hits on the same graph, where only noise differs, from the others', () => {
    const store = openStore(':memory:');
    const run = beginRun(store);
    const ofFunction = (functionalKey: string, graph: string, fitness: number) => ({
      ...{ functionalKey, structuralKey: graph, audit: audit(evaluated(fitness)) },
    });
    store.commit(
      run,
      [
        settled(0, { outcome: evaluated(0.6) }),
        hit(1, 'structural', { ...ofFunction('f0', 's0', 0.62), outcome: evaluated(0.6) }),
        // Another graph, by one key and then by the other.
        hit(2, 'functional', { ...ofFunction('f0', 's2', 0.61), outcome: evaluated(0.6) }),
        hit(3, 'structural', { ...ofFunction('f0', 's2', 0.65), outcome: evaluated(0.6) }),
        // A mean over two graphs, of which one is its own.
        settled(4, { outcome: evaluated(0.7) }),
        hit(5, 'functional', { functionalKey: 'f4', repeat: 1, outcome: evaluated(0.74) }),
        hit(6, 'structural', {
          ...{ ...ofFunction('f4', 's4', 0.71), outcome: evaluated(0.72), evaluations: 2 },
        }),
        // Another graph that comes later.
        settled(7, { outcome: evaluated(0.5) }),
        hit(8, 'structural', { ...ofFunction('f7', 's7', 0.53), outcome: evaluated(0.5) }),
        settled(9, { functionalKey: 'f7', repeat: 1, outcome: evaluated(0.9) }),
        // A rejection, and one that is the machine's fault.
        settled(10, { outcome: DIVERGED }),
        hit(11, 'structural', { ...ofFunction('f10', 's10', 0.3), outcome: DIVERGED }),
        hit(12, 'structural', {
          ...{ ...ofFunction('f10', 's10', 0), outcome: DIVERGED },
          audit: audit({ outcome: 'crashed', message: 'gone' }),
        }),
      ],
      TIME,
    );
    const found = auditsOf(store, run)!;
    expect(found.seconds).toBe(7 * 3);
    expect(found.tiers.structural.audits).toBe(6);
    expect(found.tiers.functional.audits).toBe(1);
    // 2, 3 and 6; 1, 8, 11 and 12.
    expect(found.tested).toMatchObject({ audits: 3, rejected: 0 });
    expect(found.control).toMatchObject({ audits: 4, rejected: 1, open: 3 });
    // {0.6, 0.62}, {0.61, 0.65}, {0.7, 0.71} and {0.5, 0.53} are four degrees of freedom: not enough.
    expect(found.repeated).toEqual({ evaluations: 8, graphs: 4 });
    expect(found.noise).toBeNull();
    expect(found.tested).toMatchObject({ open: 3, rate: null, interval: null });
    const more = { functionalKey: 'f7', structuralKey: 's7', outcome: evaluated(0.5) };
    store.commit(
      run,
      [0.47, 0.49].map((fitness, i) =>
        hit(13 + i, 'structural', { ...more, audit: audit(evaluated(fitness)) }),
      ),
      TIME,
    );
    const { noise, tested, control } = auditsOf(store, run)!;
    // 0.0002 + 0.0008 + 0.00005, and 0.5, 0.53, 0.47, 0.49: mean 0.4975, squares 0.001875.
    expect(noise!.degreesOfFreedom).toBe(6);
    expect(noise!.sigma).toBeCloseTo(Math.sqrt(0.002925 / 6), 12);
    // Each is judged by the five degrees of freedom that the others leave, some 0.19 apart at most.
    expect(tested).toMatchObject({ audits: 5, agrees: 5, rate: 0 });
    // As before: s9 was evaluated before the last two.
    expect(control).toMatchObject({ audits: 4, agrees: 2, rejected: 1, open: 1 });
    expect(control.rate).toBeCloseTo(1 / 3, 12);
    store.close();
  });

  test('compare with what was repeated in all runs, but count the same audit once', () => {
    const store = openStore(':memory:');
    const fitnesses = [0.5, 0.52, 0.48, 0.51, 0.49, 0.53, 0.47];
    const audited = [
      settled(0, { outcome: evaluated(0.5) }),
      ...fitnesses.map((fitness, i) =>
        hit(1 + i, 'structural', {
          ...{ structuralKey: 's0', functionalKey: 'f0', outcome: evaluated(0.5) },
          audit: audit(evaluated(fitness)),
        }),
      ),
    ];
    const runs = [beginRun(store), beginRun(store)];
    store.commit(runs[0]!, audited, TIME);
    store.commit(runs[1]!, audited.slice(1), TIME);
    const third = beginRun(store);
    // Of a function of its own, which is judged by what is known of the other one.
    const mine = { functionalKey: 'g', outcome: evaluated(0.7) };
    store.commit(
      third,
      [
        settled(0, mine),
        hit(1, 'functional', { ...mine, audit: audit(evaluated(0.72)) }),
        hit(2, 'functional', { ...mine, audit: audit(evaluated(0.9)) }),
        hit(3, 'functional', { ...mine, audit: audit(DIVERGED) }),
      ],
      TIME,
    );
    const first = auditsOf(store, runs[0]!)!;
    expect(first.repeated).toEqual({ evaluations: 8, graphs: 1 });
    expect(first.control).toMatchObject({ audits: 7, agrees: 7 });
    const { tested, noise } = auditsOf(store, third)!;
    expect(noise!.degreesOfFreedom).toBe(7);
    expect(tested).toMatchObject({ audits: 3, agrees: 1, differs: 1, rejected: 1 });
    expect(tested.rate).toBeCloseTo(2 / 3, 12);
    // Clopper and Pearson's for 2 of 3.
    expect(tested.interval![0]).toBeCloseTo(0.0943, 4);
    expect(tested.interval![1]).toBeCloseTo(0.9916, 4);
    store.close();
  });

  test('take evaluations that were added later for what they are: noise', () => {
    const store = openStore(':memory:');
    const run = beginRun(store);
    const own = { structuralKey: 's0', functionalKey: 'f0', outcome: evaluated(0.5) };
    store.commit(
      run,
      [
        settled(0, { outcome: evaluated(0.5) }),
        settled(1, { outcome: evaluated(0.8) }),
        hit(2, 'structural', { ...own, audit: audit(evaluated(0.51)) }),
      ],
      TIME,
    );
    for (const [i, fitness] of [0.81, 0.79, 0.8, 0.82, 0.78].entries())
      store.saveEvaluation({
        ...{ protocolKey: run.protocolKey, functionalKey: 'f1', repeat: i + 1, seconds: 4 },
        ...{ at: TIME.at, outcome: evaluated(fitness) },
      });
    const { repeated, control, noise } = auditsOf(store, run)!;
    expect(repeated).toEqual({ evaluations: 8, graphs: 2 });
    expect(noise!.sigma).toBeCloseTo(Math.sqrt((0.001 + 0.00005) / 6), 12);
    expect(control).toMatchObject({ audits: 1, agrees: 1, rate: 0 });
    store.close();
  });
});

test('audits of rejections are none of hits, and say nothing of the noise', () => {
  const store = openStore(':memory:');
  const run = beginRun(store);
  const low = { outcome: 'low-quality', anchor: 'anchor-0', step: 9 } as const;
  const rejection: Outcome = { ...low, accuracy: 0.1, minAccuracy: 0.3 };
  const late = { kind: 'rejection', outcome: evaluated(0.9), seconds: 3 } as const;
  store.commit(
    run,
    [
      settled(0, { outcome: rejection, audit: late }),
      settled(1, { functionalKey: 'f0', structuralKey: 's0', outcome: evaluated(0.5) }),
    ],
    TIME,
  );
  expect(auditsOf(store, run)).toBeNull();
  const own = { structuralKey: 's1', functionalKey: 'f0', outcome: evaluated(0.5) };
  store.commit(run, [hit(2, 'structural', { ...own, audit: audit(evaluated(0.6)) })], TIME);
  expect(auditsOf(store, run)).toMatchObject({
    ...{ seconds: 3, tested: { audits: 1 }, control: { audits: 0 } },
    repeated: { evaluations: 0, graphs: 0 },
  });
  store.close();
});

test('a search with real workers audits, and its statistics are read', async () => {
  const db = join(temporaryFolder(), 'x.db');
  const settings = ['--seed', '3', '--proposals', '150', '--audit', '1', '--workers', '2'];
  const searched = await evolayer(['search', ...TINY, ...settings, '--db', db]);
  expect(searched).toMatchObject({ code: 0 });
  const { stdout } = await inProcess(['stats', '--json', '--db', db]);
  const { hashing, audits, work, proposals, outcomes } = statistics.parse(JSON.parse(stdout));
  expect(hashing.functions).toBe(proposals - outcomes.constant! - outcomes['not-finite']!);
  const { structural, functional } = hashing.hits;
  expect(audits!.tiers.structural.audits).toBeGreaterThanOrEqual(structural.full);
  expect(audits!.tiers.functional.audits).toBeGreaterThanOrEqual(functional.full);
  const all = audits!.tested.audits + audits!.control.audits;
  expect(all).toBe(audits!.tiers.structural.audits + audits!.tiers.functional.audits);
  expect(audits!.control.audits).toBeGreaterThan(10);
  expect(audits!.noise!.sigma).toBeGreaterThan(0);
  expect(audits!.control.rate).not.toBeNull();
  expect(work.auditing).toBeGreaterThan(0);
  expect(hashing.probes).toBeGreaterThan(0);
  expect(hashing.keys).toBeGreaterThanOrEqual(proposals);
  expect(hashing.screening).toBeGreaterThan(0);
  const text = (await inProcess(['stats', '--db', db])).stdout;
  for (const part of [
    /^Cache\nrecognised by +hits +share\nstructural key +\d+ +[\d.]+ %\nfunctional key /m,
    /^\d+ keys and \d+ probes took [\d.]+ s, [\d.]+ % of the run’s time$/m,
    /^hits spared .* the cache made the run [\d.]+ times as fast /m,
    /^Audits: \d+ hits evaluated again\nhits +audits +agree +differ +one rejected +open +false +95 %\n/m,
    /^score of the same graph \(control\) +\d+ .* [\d.]+ to [\d.]+ %$/m,
    /^one evaluation is off by σ = [\d.]+ points \(\d+ evaluations of \d+ graphs/m,
    /^\d+:\d\d in evaluations and \d+:\d\d in audits; /m,
  ])
    expect(text).toMatch(part);
  expect(text).not.toMatch(/undefined|NaN/);
});

test('a run without audits says so in one line', async () => {
  const db = join(temporaryFolder(), 'x.db');
  const settings = ['--proposals', '20', '--audit', '0', '--workers', '1'];
  await evolayer(['search', ...TINY, ...settings, '--db', db]);
  const { stdout } = await inProcess(['stats', '--db', db]);
  expect(stdout).toMatch(
    /^Audits\nnone of \d+ hits was evaluated again \(setting cache.audit\)\n\n/m,
  );
  const json = await inProcess(['stats', '--json', '--db', db]);
  expect(statistics.parse(JSON.parse(json.stdout)).audits).toBeNull();
});
