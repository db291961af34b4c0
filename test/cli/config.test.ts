import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import { openStore } from '../../db/store.ts';
import { ASSUMED, type Experience, expectedOf, experienceIn } from '../../src/cli/estimate.ts';
import { configSchema, SCHEMA_FILE } from '../../src/cli/schema.ts';
import { SEARCH_FLAGS } from '../../src/cli/settings.ts';
import { UserError } from '../../src/errors.ts';
import { PROTOCOL_FLAGS } from '../../src/eval/presets.ts';
import { resolveSearchConfig, SEARCH_PRESETS } from '../../src/search/config.ts';
import { runSearch } from '../../src/search/run.ts';
import { configOf, FakePool, trajectory } from '../search/fake.ts';
import { inProcess, temporaryFolder } from './process.ts';

const printed = async (...args: string[]) => {
  const { code, stdout, stderr } = await inProcess(['config', ...args]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
};

test('config prints what a search would run with, in a form that is a configuration file', async () => {
  const config = await printed(
    '--seed',
    '4',
    '--time',
    '2h',
    '--baseline',
    'bn-relu',
    '--steps',
    '9',
  );
  expect(config).toMatchObject({
    ...{ seed: 4, stop: { seconds: 7200 }, baselines: ['BN-ReLU'] },
    protocol: { steps: 9 },
  });
  const file = join(temporaryFolder(), 'c.json');
  writeFileSync(file, JSON.stringify({ $schema: './config.schema.json', ...config }));
  expect(await printed('--config', file)).toEqual(config);
  const plan = JSON.parse(
    (await inProcess(['search', '--config', file, '--dry-run', '--json', '--db', 'no.db'])).stdout,
  );
  expect(plan.config).toEqual(config);
});

test('flags choose a space, and the configuration says what it is made of', async () => {
  const flags = ['--space', 'activations', '--ops', 'add,mul', '--ops', 'tanh'];
  const { space, warmStart } = await printed(...flags, '--initial-nodes', 'x,v1');
  expect(space).toEqual({ ops: ['add', 'mul', 'tanh'], indexSets: [], initialNodes: ['x', 'v1'] });
  expect(warmStart).toEqual(['DyT']);
  const file = join(temporaryFolder(), 'c.json');
  writeFileSync(file, JSON.stringify({ space: { name: 'activations' }, genomeNodes: 5 }));
  expect(
    await printed('--config', file, '--space', 'paper', '--index-sets', 'wh,whc/g'),
  ).toMatchObject({
    ...{ genomeNodes: 5, warmStart: ['GN-ReLU', 'DyT'] },
    space: { ...resolveSearchConfig({ numerics: 'n' }).space, indexSets: ['wh', 'whc/g'] },
  });
  const refused = await inProcess(['config', '--initial-nodes', 'v1']);
  expect(refused).toMatchObject({ code: 2, stdout: '' });
  expect(refused.stderr).toMatch(
    /^error: .*initialNodes is \["v1"\]; it must be .* depends on its input\.\n$/,
  );
});

describe('the schema of configuration files', () => {
  const valid = new Ajv2020({ allErrors: true }).compile(configSchema());

  test('is the committed one, and the one that config --schema prints', async () => {
    expect(JSON.parse(readFileSync(SCHEMA_FILE, 'utf8'))).toEqual(configSchema());
    expect(await printed('--schema')).toEqual(configSchema());
  });

  test('accepts every preset whole, and any part of it', () => {
    for (const preset of Object.keys(SEARCH_PRESETS)) {
      const config = resolveSearchConfig({ preset, numerics: 'n' });
      expect(valid(config), JSON.stringify(valid.errors)).toBe(true);
      for (const [key, value] of Object.entries(config)) expect(valid({ [key]: value })).toBe(true);
    }
    expect(valid({ $schema: 'x', protocol: { quality: { minAccuracy: 0.3 } } })).toBe(true);
    for (const stability of [false, {}, { steps: 7 }])
      expect(valid({ protocol: { stability } })).toBe(true);
    expect(valid({})).toBe(true);
  });

  const FILES: readonly object[] = [
    ...[{ space: 'paper' }, { space: { op: [] } }, { space: { ops: ['mull'] } }],
    ...[{ seeds: 1 }, { seed: 1.5 }, { seed: -1 }, { seed: '1' }, { stop: { proposals: 0 } }],
    ...[{ stop: { seconds: 0 } }, { stop: { second: 1 } }, { algorithm: 'evolve' }],
    ...[{ criterion: null }, { exploration: 1.1 }, { baselines: ['BN-Relu'] }, { warmStart: {} }],
    ...[{ primitiveWeights: { mull: 1 } }, { batchIndependent: 1 }, { protocol: [] }],
    ...[{ protocol: { step: 1 } }, { protocol: { anchors: [] } }, { protocol: { timeout: 0 } }],
    ...[{ protocol: { quality: { minAccuracy: 2 } } }, { protocol: { dataset: { name: 'x' } } }],
    ...[{ protocol: { optimiser: { momentum: 1 } } }, { protocol: { stability: true } }],
    ...[{ protocol: { stability: { rate: 1 } } }, { protocol: { stability: { anchors: [] } } }],
    ...[{ cache: { by: 'graph' } }, { cache: { mantissaBits: 0 } }, { cache: { forget: 1.5 } }],
    ...[{ cache: { evaluations: 0 } }, { cache: { shared: 'yes' } }, { cache: { size: 9 } }],
    ...[{ functionalChange: -1 }, { tabu: 5 }, { tabu: { attempts: 0 } }],
  ];

  test.each(FILES)('refuses %j, as a search does', (file) => {
    expect(valid(file)).toBe(false);
    expect(() => resolveSearchConfig({ file, numerics: 'n' })).toThrow(UserError);
  });

  test('describes every setting that has a flag', () => {
    const text = JSON.stringify(configSchema());
    for (const { doc, kind } of Object.values({ ...SEARCH_FLAGS, ...PROTOCOL_FLAGS }))
      expect(text).toContain(
        JSON.stringify(kind === 'duration' ? doc.split(',')[0] : doc).slice(0, -1),
      );
  });
});

describe('the estimate of a dry run', () => {
  const cost = { failedTestSeconds: 1, trainingSeconds: 10, proposalSeconds: 0.01 };
  const experience: Experience = {
    ...{ shares: { trained: 0.1, failed: 0.2, diverged: 0 }, bytes: 1000, runs: [1] },
  };
  const estimate = (stop: object, workers = 1, warmStart: string[] = []) =>
    expectedOf(
      { stop: { proposals: 1000, ...stop }, baselines: [], warmStart },
      ...([cost, workers, experience] as const),
    );

  test('adds up what the shares of the outcomes cost', () => {
    expect(estimate({})).toEqual({
      ...{ proposals: 1000, trained: 100, failed: 200, seconds: 1200, bytes: 1e6 },
    });
    expect(estimate({}, 4).seconds).toBeCloseTo(300, 9);
    // However many workers there are, one thread proposes.
    expect(estimate({}, 1024).seconds).toBeCloseTo(10, 9);
    expect(estimate({}, 2, ['DyT', 'BN-ReLU']).seconds).toBeCloseTo(610, 9);
  });

  test('ends at the condition that comes first', () => {
    expect(estimate({ evaluations: 50 })).toMatchObject({ proposals: 500, trained: 50 });
    expect(estimate({ seconds: 120 })).toMatchObject({ proposals: 100 });
    expect(estimate({ seconds: 1 }, 1, ['DyT'])).toEqual({
      ...{ proposals: 0, trained: 1, failed: 0, seconds: 1, bytes: 0 },
    });
  });

  test('goes by the runs in the database, or else by what it says it assumes', async () => {
    const db = join(temporaryFolder(), 'x.db');
    expect(experienceIn(db, 'any')).toEqual(ASSUMED);
    const store = openStore(db);
    const run = (proposals: number, steps: number) =>
      runSearch({
        config: configOf({ stop: { proposals }, protocol: { steps } }),
        ...{ store, pool: new FakePool(2) },
      });
    await run(20, 300);
    expect(experienceIn(db, 'any')).toEqual(ASSUMED);
    await run(150, 300);
    await run(200, 310);
    const paid = trajectory(store, 3).filter(({ index, repeat }) => index >= 0 && repeat !== null);
    const shareOf = (name: string) =>
      paid.filter(({ outcome }) => outcome.outcome === name).length / 200;
    const { protocolKey } = store.runs.byId(3)!;
    store.close();
    expect(experienceIn(db, protocolKey)).toMatchObject({
      runs: [3],
      shares: {
        trained: shareOf('evaluated'),
        failed: shareOf('low-quality'),
        diverged: shareOf('diverged'),
      },
    });
    expect(experienceIn(db, 'another').runs).toEqual([2, 3]);
  });

  test('stands before every search, in one line, also where its data set is not here', async () => {
    const db = join(temporaryFolder(), 'x.db');
    const small = ['--proposals', '1', '--steps', '2', '--anchor', 'mini-wide', '--batch', '4'];
    const { stderr } = await inProcess(['search', ...small, '--db', db, '--workers', '1']);
    expect(stderr.split('\n')[0]).toMatch(
      /^About \d+:\d\d with 1 worker for 1 proposals \(an assumption\), at most \d+:\d\d; /,
    );
    const paper = ['search', '--preset', 'paper-s', '--anchor', 'resnet50-quarter', '--db', db];
    const { stdout } = await inProcess([...paper, '--dry-run', '--workers', '1']);
    expect(stdout).toMatch(/So 100000 proposals take about \d+ (days|years) with 1 worker/);
  });

  test.each([['1'], ['200']])('of %s proposals is at most what it takes at most', async (n) => {
    const args = ['search', '--dry-run', '--json', '--proposals', n, '--workers', '2'];
    const { stdout } = await inProcess([...args, '--db', join(temporaryFolder(), 'x.db')]);
    const { cost, expected } = JSON.parse(stdout);
    expect(expected.seconds).toBeGreaterThan(0);
    expect(expected.seconds).toBeLessThanOrEqual(cost.atMostSeconds);
  });

  test('is told with what it goes by', async () => {
    const args = ['search', '--dry-run', '--db', join(temporaryFolder(), 'x.db')];
    const { stdout } = await inProcess([...args, '--workers', '2']);
    expect(stdout).toMatch(/7\.70 % are trained to the end, 19\.50 % fail .* \(an assumption\)\./);
    expect(stdout).toMatch(/So 1200 proposals take about \d+:\d\d with 2 workers, train 98 to/);
  });
});
