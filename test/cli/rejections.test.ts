import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { openStore, type Settled } from '../../db/store.ts';
import { loadDataset } from '../../src/eval/data.ts';
import { engineWith } from '../../src/eval/engines.ts';
import { evaluateLayer } from '../../src/eval/evaluate.ts';
import type { Outcome } from '../../src/eval/outcome.ts';
import { evaluationSeed } from '../../src/eval/protocol.ts';
import { layerOf } from '../../src/graph/genome.ts';
import { rejectionsOf } from '../../src/reading/rejections.ts';
import type { SearchConfig } from '../../src/search/config.ts';
import { statistics } from '../../src/web/server/answers/stats.ts';
import { beginRun, evaluated, settled, TIME } from '../db/records.ts';
import { evolayer, inProcess, TINY, temporaryFolder } from './process.ts';

const LOW: Outcome = {
  ...{ outcome: 'low-quality', anchor: 'anchor-0', step: 100, accuracy: 0.2, minAccuracy: 0.35 },
};
const UNSTABLE: Outcome = {
  ...{ outcome: 'unstable', anchor: 'anchor-0', ascentStep: 40, gradientNorm: 2e8 },
};
const DIVERGED: Outcome = { outcome: 'diverged', anchor: 'anchor-0', step: 200 };
const CRASHED: Outcome = { outcome: 'crashed', message: 'gone' };

/** A rejection; with `late`, what training to the end made of it. */
const rejected = (index: number, outcome: Outcome, late?: Outcome): Settled =>
  settled(index, {
    outcome,
    audit: late === undefined ? null : { kind: 'rejection', outcome: late, seconds: 3 },
  });

/** Eleven proposals with fitnesses from 0 to 1, whose 90th percentile is the second best. */
const trained = (): Settled[] =>
  Array.from({ length: 11 }, (_, i) =>
    settled(i, { outcome: evaluated(((7 * i) % 11) / 10), tier: null }),
  );

function statsOf(...candidates: Settled[]) {
  const store = openStore(':memory:');
  const run = beginRun(store);
  store.commit(run, candidates, TIME);
  const found = rejectionsOf(store, run.id);
  store.close();
  return found;
}

const EMPTY = { audits: 0, top: 0, below: 0, diverged: 0, open: 0, rate: null, interval: null };

describe('the statistics of rejections', () => {
  test('count, by test, what would have been in the top decile', () => {
    const found = statsOf(
      ...trained(),
      rejected(11, LOW, evaluated(0.9)),
      rejected(12, LOW, evaluated(0.89)),
      rejected(13, LOW, DIVERGED),
      rejected(14, LOW, CRASHED),
      rejected(15, LOW),
      rejected(16, LOW),
      rejected(17, UNSTABLE, evaluated(0.1)),
      rejected(18, UNSTABLE, { outcome: 'timeout', anchor: 'anchor-0', step: 9, seconds: 60 }),
    );
    expect(found).toMatchObject({ seconds: 6 * 3, trained: 11, decile: 0.9 });
    const { 'low-quality': low, unstable } = found.tests;
    expect(low).toMatchObject({
      ...{ rejected: 6, audits: 4, top: 1, below: 1, diverged: 1, open: 1, rate: 1 / 3 },
    });
    // Clopper and Pearson's for 1 of 3.
    expect(low.interval![0]).toBeCloseTo(0.0084, 4);
    expect(low.interval![1]).toBeCloseTo(0.9057, 4);
    expect(unstable).toMatchObject({
      ...{ rejected: 2, audits: 2, top: 0, below: 1, diverged: 0, open: 1, rate: 0 },
    });
    expect(unstable.interval).toEqual([0, expect.closeTo(0.975, 12)]);
    expect(found.both).toMatchObject({
      ...{ rejected: 8, audits: 6, top: 1, below: 2, diverged: 1, open: 2, rate: 1 / 4 },
    });
  });

  test('compare with what the run trained itself, known layers and hits left out', () => {
    const baseline = (index: number) =>
      settled(index, { outcome: evaluated(1), origin: { kind: 'baseline', name: 'ReLU' } });
    const hit = (index: number) =>
      settled(index, {
        ...{ outcome: evaluated(1), functionalKey: 'f-1', tier: 'structural', repeat: null },
      });
    const known = [-2, -1].map(baseline);
    const found = statsOf(...known, ...trained(), ...[11, 12, 13].map(hit), rejected(14, LOW));
    expect(found).toMatchObject({ seconds: 0, trained: 11, decile: 0.9 });
    expect(found.both).toEqual({ ...EMPTY, rejected: 1 });
  });

  test('judge nothing where there is nothing to compare with', () => {
    const found = statsOf(rejected(0, LOW, DIVERGED), rejected(1, LOW, evaluated(0.9)));
    expect(found).toMatchObject({ trained: 0, decile: null });
    expect(found.both).toEqual({ ...EMPTY, rejected: 2, audits: 2, diverged: 1, open: 1 });
  });

  test('count the rejection by its own evaluation, where an earlier one decides what it is worth', () => {
    const own = { repeat: 1, outcome: LOW, seconds: 2 };
    const audit = { kind: 'rejection', outcome: evaluated(1), seconds: 3 } as const;
    const again = settled(12, {
      ...{ functionalKey: 'f11', evaluations: 2, outcome: DIVERGED, evaluation: own, audit },
    });
    const found = statsOf(...trained(), rejected(11, DIVERGED), again, rejected(13, CRASHED));
    expect(found.tests['low-quality']).toMatchObject({ rejected: 1, audits: 1, top: 1 });
    expect(found.both).toEqual(found.tests['low-quality']);
    expect(found.tests.unstable).toEqual({ ...EMPTY, rejected: 0 });
  });
});

/** What a database holds of a run's audits of rejections, put together by hand. */
function readBack(path: string) {
  const db = new Database(path, { readonly: true });
  const all = <Row>(query: string) => db.prepare(query).all() as Row[];
  const fitnesses = all<{ fitness: number }>(`SELECT fitness FROM candidates
    WHERE run = 1 AND idx >= 0 AND repeat IS NOT NULL AND fitness IS NOT NULL`);
  const audits = all<{ idx: number; key: string; genome: string; outcome: Outcome['outcome'] }>(
    `SELECT idx, a.functional_key AS key, genome, a.outcome, a.numbers, a.seconds
     FROM audits a JOIN candidates c ON c.id = a.candidate WHERE kind = 'rejection' ORDER BY idx`,
  ) as {
    idx: number;
    key: string;
    genome: string;
    outcome: string;
    numbers: string;
    seconds: number;
  }[];
  const low = all<{ idx: number }>(`SELECT idx FROM candidates
    WHERE outcome = 'low-quality' AND idx >= 0 AND repeat IS NOT NULL ORDER BY idx`);
  const { config } = db.prepare('SELECT config FROM runs').get() as { config: string };
  db.close();
  return {
    ...{ audits, config: JSON.parse(config) as SearchConfig },
    fitnesses: fitnesses.map(({ fitness }) => fitness).sort((a, b) => a - b),
    low: low.map(({ idx }) => idx),
  };
}

const meanOf = (numbers: string): number => {
  const { perAnchor } = JSON.parse(numbers) as { perAnchor: { accuracy: number }[] };
  return perAnchor.reduce((sum, { accuracy }) => sum + accuracy, 0) / perAnchor.length;
};

/** As NumPy's percentile. */
function percentile90(sorted: readonly number[]): number {
  const place = 0.9 * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(place)]!, sorted[Math.ceil(place)]!];
  return low + (high - low) * (place % 1);
}

/** Of at least `count` successes in `n` trials. */
function tail(count: number, n: number, p: number): number {
  let [sum, choose] = [0, 1];
  for (let k = 0; k <= n; k++) {
    if (k >= count) sum += choose * p ** k * (1 - p) ** (n - k);
    choose = (choose * (n - k)) / (k + 1);
  }
  return sum;
}

/** Where a function that grows reaches 0. */
function rootOf(grows: (p: number) => number): number {
  let [low, high] = [0, 1];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (grows(middle) < 0) low = middle;
    else high = middle;
  }
  return low;
}

const SEARCH = [
  ...TINY,
  ...['--quality-images', '20', '--min-accuracy', '0.16', '--seed', '3', '--proposals', '150'],
  ...['--workers', '2', '--audit', '0'],
];

test('a search with real workers trains its rejections to the end, and its statistics are right', async () => {
  const db = join(temporaryFolder(), 'x.db');
  const searched = await evolayer(['search', ...SEARCH, '--rejection-audit', '1', '--db', db]);
  expect(searched).toMatchObject({ code: 0 });
  const { audits, fitnesses, low, config } = readBack(db);
  expect(low.length).toBeGreaterThan(20);
  expect(audits.map(({ idx }) => idx)).toEqual(low);

  const { stdout } = await inProcess(['stats', '--json', '--db', db]);
  const { rejections, work, trained } = statistics.parse(JSON.parse(stdout));
  expect(rejections.trained).toBe(trained);
  expect(rejections.trained).toBe(fitnesses.length);
  expect(rejections.decile).toBeCloseTo(percentile90(fitnesses), 12);
  const seconds = audits.reduce((sum, audit) => sum + audit.seconds, 0);
  expect(rejections.seconds).toBeCloseTo(seconds, 9);
  expect(work.auditing).toBeCloseTo(seconds, 9);
  const scored = audits.filter(({ outcome }) => outcome === 'evaluated');
  const top = scored.filter(({ numbers }) => meanOf(numbers) >= percentile90(fitnesses)).length;
  const diverged = audits.filter(({ outcome }) => outcome === 'diverged').length;
  const n = scored.length + diverged;
  expect(rejections.both).toMatchObject({
    ...{ rejected: low.length, audits: low.length, top, below: scored.length - top, diverged },
    ...{ open: 0, rate: top / n },
  });
  expect(top).toBeGreaterThan(0);
  const [from, to] = rejections.both.interval!;
  expect(from).toBeCloseTo(
    rootOf((p) => tail(top, n, p) - 0.025),
    6,
  );
  expect(to).toBeCloseTo(
    rootOf((p) => tail(top + 1, n, p) - 0.975),
    6,
  );
  expect(rejections.tests['low-quality']).toEqual(rejections.both);

  // What the evaluation would have been, had the test let everything pass.
  const { protocol } = config;
  const { numerics, quality, anchors } = protocol;
  const minAccuracy = Object.fromEntries(anchors.map((name) => [name, 0]));
  for (const audit of audits.slice(0, 5)) {
    const outcome = evaluateLayer({
      layer: layerOf(JSON.parse(audit.genome)),
      protocol: { ...protocol, quality: { ...quality, minAccuracy } },
      seed: evaluationSeed(protocol, audit.key, 0),
      dataset: loadDataset(protocol.dataset.name, protocol.dataset),
      engine: engineWith(numerics),
    });
    expect(outcome.outcome).toBe(audit.outcome);
    if (outcome.outcome === 'evaluated')
      expect(JSON.parse(audit.numbers).perAnchor).toEqual(
        outcome.perAnchor.map(({ curve: _, ...score }) => ({ ...score, seconds: 0 })),
      );
  }

  const text = (await inProcess(['stats', '--db', db])).stdout;
  for (const part of [
    /^Rejections: \d+ of \d+ trained to the end all the same\nrejected by +rejections +audits +top decile +below +diverged +open +share +95 %\n/m,
    /^quality +\d+ .* [\d.]+ to [\d.]+ %$/m,
    /^the top decile of the \d+ proposals that the run trained to the end begins at [\d.]+ %; the audits took \d+:\d\d$/m,
  ])
    expect(text).toMatch(part);
  expect(text).not.toMatch(/^stability /m);
  expect(text).not.toMatch(/undefined|NaN/);
});

test('a run whose rejections were not audited says so in one line, and is the same run', async () => {
  const folder = temporaryFolder();
  const [none, all] = [join(folder, 'none.db'), join(folder, 'all.db')];
  const search = (db: string, share: string) =>
    evolayer(['search', ...SEARCH, '--rejection-audit', share, '--db', db]);
  await search(none, '0');
  await search(all, '1');
  const { stdout } = await inProcess(['stats', '--db', none]);
  expect(stdout).toMatch(
    /^Rejections\nnone of \d+ by early tests was trained to the end \(setting rejectionAudit\)$/m,
  );
  const rowsOf = (path: string) => {
    const db = new Database(path, { readonly: true });
    const tables = ['candidates', 'evaluations', 'rejections'].map((table) =>
      db
        .prepare(`SELECT * FROM ${table}`)
        .all()
        .map((row) => ({ ...(row as object), seconds: 0, at: '' })),
    );
    db.close();
    return tables;
  };
  expect(rowsOf(all)).toEqual(rowsOf(none));
});
