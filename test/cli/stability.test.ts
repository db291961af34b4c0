import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStore, type Store } from '../../db/store.ts';
import { resolveProtocol } from '../../src/eval/presets.ts';
import type { Stability } from '../../src/eval/stability.ts';
import { statistics } from '../../src/web/server/answers/stats.ts';
import { answerOf, dashboard } from '../web/dashboard.ts';
import { evolayer, inProcess } from './process.ts';

/*
 * Searches with the stability test. Without a quality test much gets as far as that: random layers, most of
 * which do not normalize.
 */

const PROTOCOL = [
  ...['--anchor', 'mini-deep', '--pool', '7', '--batch', '4', '--steps', '2', '--pad', '0'],
  ...['--validation', '20', '--quality-steps', '0', '--min-accuracy', '0'],
];
const SHORT = ['--stability-images', '4', '--stability-steps', '10'];
const SEARCH = [
  ...['search', ...PROTOCOL, ...SHORT, '--stability-anchor', 'mini-deep', '--lookahead', '16'],
  ...['--algorithm', 'random', '--seed', '7', '--proposals', '150'],
  ...['--baseline', 'BN-ReLU,ReLU', '--warm-start', 'EvoNorm-S0', '--rejection-audit', '0.5'],
];
const dbs: string[] = [];
let folder: string;

function asking<T>(db: string, ask: (store: Store) => T): T {
  const store = openStore(db, { readonly: true });
  try {
    return ask(store);
  } finally {
    store.close();
  }
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'evolayer-'));
  dbs.push(...[1, 2].map((workers) => join(folder, `${workers}.db`)));
  const search = async (db: string, i: number) => {
    const ended = await evolayer([...SEARCH, '--workers', String(i + 1), '--db', db]);
    expect(ended).toMatchObject({ code: 0 });
  };
  await Promise.all(dbs.map(search));
}, 90_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** All that a run wrote, but for the time that it took and when that was. */
const rowsOf = (db: string) =>
  asking(db, (store) => {
    const candidates = [...store.candidates.ofRun(1)];
    const functions = [...new Set(candidates.flatMap(({ functionalKey }) => functionalKey ?? []))];
    const text = JSON.stringify({
      candidates,
      evaluations: functions.map((key) => store.history.ofFunction(key, { curves: true })),
      audits: store.audits.rejections(1),
    });
    return JSON.parse(text, (key, value) =>
      key === 'seconds' || key === 'at' ? undefined : value,
    ) as { candidates: typeof candidates; evaluations: unknown[]; audits: unknown[] };
  });

test('one worker or two write the same rows', () => {
  const [one, two] = dbs.map(rowsOf);
  expect(two).toEqual(one);
  expect(one!.candidates).toHaveLength(153);
  expect(one!.audits.length).toBeGreaterThan(0);
  expect(JSON.stringify(one!.evaluations)).toContain('"greatestNorm"');
});

test('known layers fare as one knows of them', () => {
  const known = asking(dbs[0]!, (store) =>
    [...store.candidates.ofRun(1)]
      .filter(({ index }) => index < 0)
      .map(({ origin, outcome }) => [origin.kind === 'baseline' && origin.name, outcome.outcome]),
  );
  expect(Object.fromEntries(known)).toEqual({
    ...{ 'BN-ReLU': 'evaluated', 'EvoNorm-S0': 'evaluated', ReLU: 'unstable' },
  });
});

test('what is unstable has its numbers, and its rejection is audited', () => {
  asking(dbs[0]!, (store) => {
    const unstable = [...store.candidates.ofRun(1)].flatMap(({ outcome }) =>
      outcome.outcome === 'unstable' ? [outcome] : [],
    );
    expect(unstable.length).toBeGreaterThan(5);
    for (const { anchor, ascentStep, gradientNorm } of unstable) {
      expect(anchor).toBe('mini-deep');
      expect(ascentStep).toBeGreaterThanOrEqual(0);
      expect(ascentStep).toBeLessThanOrEqual(10);
      expect(gradientNorm <= 1e8).toBe(false);
    }
    const audits = store.audits.rejections(1);
    expect(audits.some(({ rejection }) => rejection.outcome === 'unstable')).toBe(true);
    expect(audits.some(({ outcome }) => outcome.outcome !== 'diverged')).toBe(true);
    // No audit makes the test again.
    for (const { outcome } of audits) expect(outcome.outcome).not.toBe('unstable');
  });
});

describe('commands', () => {
  const json = async (...args: string[]) =>
    JSON.parse((await inProcess([...args, '--json', '--db', dbs[0]!])).stdout);

  test('stats counts what was unstable', async () => {
    const { outcomes, rejections } = statistics.parse(await json('stats'));
    expect(outcomes.unstable).toBeGreaterThan(5);
    expect(rejections.tests.unstable.audits).toBeGreaterThan(0);
    const { stdout } = await inProcess(['stats', '--db', dbs[0]!]);
    expect(stdout).toMatch(new RegExp(`unstable +${outcomes.unstable} `));
  });

  test('show tells the norms of what is stable, and why another layer is not', async () => {
    const { evaluations } = (await json('show', 'BN-ReLU')) as {
      evaluations: { perAnchor: { stability: Stability }[] }[];
    };
    const { stability } = evaluations[0]!.perAnchor[0]!;
    expect(stability.gradientNorm).toBeGreaterThan(0);
    expect(stability.greatestNorm).toBeGreaterThanOrEqual(stability.gradientNorm);
    const shown = async (layer: string) =>
      (await inProcess(['show', layer, '--db', dbs[0]!])).stdout;
    const row = [stability.greatestNorm, stability.greatestAt, stability.gradientNorm].map(
      (n, i) => (i === 1 ? n : n.toExponential(1).replace('+', '\\+')),
    );
    expect(await shown('BN-ReLU')).toMatch(new RegExp(`mini-deep +${row.join(' +')}`));
    expect(await shown('ReLU')).toMatch(/the gradient on mini-deep reaches \S+ in ascent step \d/);
    expect(await shown('ReLU')).not.toContain('norms of gradients');
  });

  test('the dashboard answers the same', async () => {
    const { url, errors } = await dashboard(dbs[0]!);
    for (const layer of ['BN-ReLU', 'ReLU']) {
      const { dossier } = await answerOf<{ dossier: object }>(url, `/api/layer?layer=${layer}`);
      expect(dossier).toEqual(await json('show', layer));
    }
    expect(errors).toEqual([]);
  });

  test('evaluate makes the test with a flag alone, and prints the same', async () => {
    const { perAnchor } = await json('evaluate', 'BN-ReLU', ...PROTOCOL, ...SHORT);
    const [stored] = (await json('show', 'BN-ReLU')).evaluations;
    expect(perAnchor[0].stability).toEqual(stored.perAnchor[0].stability);
    const { stdout } = await inProcess([
      'evaluate',
      'BN-ReLU',
      ...PROTOCOL,
      ...SHORT,
      '--stability',
    ]);
    expect(stdout).toContain('greatest gradient');
    expect(await json('evaluate', 'ReLU', ...PROTOCOL, ...SHORT)).toMatchObject({
      outcome: 'unstable',
      rejection: { anchor: 'mini-deep', ascentStep: expect.any(Number) },
    });
    const without = await json('evaluate', 'ReLU', ...PROTOCOL, ...SHORT, '--no-stability');
    expect(without).toMatchObject({ outcome: 'evaluated' });
  });

  test('check finds nothing wrong', async () => {
    expect(await json('runs', '--check')).toMatchObject({ sound: true, findings: [] });
  });

  test('a dry run counts the test, in presets that make one', async () => {
    const plan = async (...flags: string[]) => {
      const { stdout } = await inProcess(['search', '--dry-run', '--json', ...flags]);
      return JSON.parse(stdout);
    };
    const longer = ['--stability-steps', '10000', '--stability-images', '64'];
    const [short, long] = [await plan(...PROTOCOL), await plan(...PROTOCOL, ...longer)];
    expect(long.cost.trainingSeconds).toBeGreaterThan(10 * short.cost.trainingSeconds);
    const { protocol } = (await plan('--preset', 'standard', ...PROTOCOL)).config;
    expect(protocol.stability).toMatchObject({ steps: 100, anchors: ['mini-deep'] });
    expect((await plan(...PROTOCOL)).config.protocol).not.toHaveProperty('stability');
  });
});

test('presets that take hours make the test on their residual network', () => {
  const testOf = (preset: string) => resolveProtocol(preset, {}, 'n').stability;
  const usual = { steps: 100, threshold: 1e8 };
  expect(testOf('standard')).toMatchObject({ ...usual, anchors: ['mini-deep'] });
  expect(testOf('paper-b')).toMatchObject({ ...usual, anchors: ['resnet50-quarter'] });
  expect(testOf('paper-s')).toEqual(testOf('paper-b'));
  expect(testOf('quick')).toBeUndefined();
});
