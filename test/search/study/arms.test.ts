import { describe, expect, test } from 'vitest';
import { isRecord } from '../../../src/eval/settings.ts';
import type { SearchConfig } from '../../../src/search/config.ts';
import { type Arm, armConfig } from '../../../src/search/study/arms.ts';
import {
  bitsArm,
  HASHING_ARMS,
  HASHING_CONTROL,
  hashingStudy,
} from '../../../src/search/study/hashing.ts';
import { SEARCH_ARMS, SEARCH_CONTROL, searchStudy } from '../../../src/search/study/search.ts';
import { configOf } from '../fake.ts';

const study = (changes: object = {}) =>
  hashingStudy({
    config: configOf({ baselines: ['BN-ReLU'], cache: { audit: 0.5, shared: true } }),
    ...{ arms: HASHING_ARMS.map(({ name }) => name), bits: [1, 20], seeds: 2, budget: 7 },
    ...{ bitsBudget: 5, folder: 'folder', sample: 10, ...changes },
  });

/** The settings of `a` and `b` that differ. */
function differing(a: unknown, b: unknown, path = ''): string[] {
  if (!isRecord(a) || !isRecord(b)) return JSON.stringify(a) === JSON.stringify(b) ? [] : [path];
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].flatMap((key) => differing(a[key], b[key], path ? `${path}.${key}` : key));
}

const WANTED: Readonly<Record<string, readonly string[]>> = {
  [HASHING_CONTROL]: ['cache.by'],
  structural: ['cache.by'],
  functional: [],
  aggregating: ['cache.evaluations'],
  forgetful: ['cache.forget'],
  'functional-change': ['functionalChange'],
  tabu: ['tabu.limit'],
  'bits-1': ['cache.mantissaBits'],
};

describe('the arms of the study of hashing', () => {
  const { base } = study();
  const arms = [...HASHING_ARMS, bitsArm(1)];
  const functional = armConfig(base, HASHING_ARMS.find(({ name }) => name === 'functional')!, 1);

  test.each(arms)('$name differs from functional in what it is about', (arm) => {
    expect(differing(functional, armConfig(base, arm, 1))).toEqual(WANTED[arm.name]);
  });

  test('seeds change the proposals and the training, and nothing else', () => {
    for (const arm of arms)
      expect(differing(armConfig(base, arm, 1), armConfig(base, arm, 2))).toEqual([
        'seed',
        'protocol.seed',
      ]);
  });

  test('nothing is audited, other runs do not count, and no known layer is scored beside the founders', () => {
    expect(base).toMatchObject({
      ...{ cache: { audit: 0, shared: false }, rejectionAudit: 0, baselines: [] },
    });
  });

  test('where the given configuration stops does not matter', () => {
    const stopping = study({ config: configOf({ stop: { proposals: 5, patience: 2 } }) });
    const { stop }: SearchConfig = stopping.base;
    expect(stop).toEqual(base.stop);
    expect(Object.keys(stop)).toEqual(['proposals']);
  });
});

describe('the runs of the study of hashing', () => {
  test('every arm runs with each seed, in a file of its own', () => {
    const runs = study({ bits: [1] }).runs;
    expect(runs).toHaveLength(2 * 8);
    expect(new Set(runs.map(({ path }) => path)).size).toBe(runs.length);
    expect(runs.map(({ seed }) => seed)).toEqual([...Array(8).fill(1), ...Array(8).fill(2)]);
  });

  test('the run with the usual precision is that of the functional arm, up to its own budget', () => {
    const { runs } = study({ arms: ['functional'], bits: [20], seeds: 1 });
    const [{ arm, config, path }] = runs as [(typeof runs)[0]];
    expect(runs).toMatchObject([
      { arm: { name: 'functional' }, part: 'arms', budget: 7 },
      { arm, config, path, part: 'bits', budget: 5 },
    ]);
  });
});

const searches = (changes: object = {}) =>
  searchStudy({
    config: configOf({
      ...{ baselines: ['BN-ReLU', 'DyT'], warmStart: ['DyT'], founders: 1, exploration: 0.1 },
      cache: { audit: 0.5, shared: true },
    }),
    ...{ arms: SEARCH_ARMS.map(({ name }) => name), seeds: 3, budget: 7, folder: 'folder' },
    ...changes,
  });

const SEARCHES: Readonly<Record<string, readonly string[]>> = {
  'random-untested': ['algorithm', 'protocol.quality.steps'],
  [SEARCH_CONTROL]: ['algorithm'],
  'evolution-untested': ['protocol.quality.steps'],
  'evolution-average': ['criterion'],
  'evolution-pareto': [],
};

describe('the arms of the study of searches', () => {
  const { base, known } = searches();
  const configFor = ({ name }: Pick<Arm, 'name'>, seed = 1) =>
    armConfig(base, SEARCH_ARMS.find((arm) => arm.name === name)!, seed);
  const pareto = configFor({ name: 'evolution-pareto' });

  test.each(SEARCH_ARMS)('$name differs from the default in what it is about', (arm) => {
    expect(differing(pareto, configFor(arm))).toEqual(SEARCHES[arm.name]);
    expect(differing(configFor(arm), configFor(arm, 2))).toEqual(['seed', 'protocol.seed']);
  });

  test('all begin with random layers, and train nothing outside of the budget', () => {
    expect(base).toMatchObject({ warmStart: [], baselines: [], cache: { audit: 0 }, founders: 10 });
    expect(known.map(({ name }) => name)).toEqual(['BN-ReLU', 'DyT']);
  });

  test('more founders than the fewest stay', () => {
    const config = configOf({ founders: 25 });
    expect(searches({ config }).base.founders).toBe(25);
  });

  test('evolution and its control arm come first, with every seed, and the unit is one for all', () => {
    const { runs } = searches();
    expect(runs).toHaveLength(3 * 5);
    expect(new Set(runs.map(({ path }) => path)).size).toBe(runs.length);
    const first = runs.slice(0, 6).map(({ arm, seed }) => `${arm.name} ${seed}`);
    expect(first).toEqual(
      [1, 2, 3].flatMap((seed) => [`random ${seed}`, `evolution-pareto ${seed}`]),
    );
    for (const { unit } of runs) expect(unit).toEqual(base.protocol);
  });
});
