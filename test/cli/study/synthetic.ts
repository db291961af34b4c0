import { type HashingData, hashingData } from '../../../src/cli/study/data.ts';
import { genomeOf } from '../../../src/graph/genome.ts';
import { parseLayer } from '../../../src/graph/text.ts';
import { HASHING_ARMS } from '../../../src/search/study/arms.ts';
import {
  HASHING_BITS,
  type HashingOptions,
  hashingStudy,
  plannedRuns,
} from '../../../src/search/study/hashing.ts';
import { qualityKey } from '../../../src/search/study/quality.ts';
import type { RunResult } from '../../../src/search/study/result.ts';
import { configOf } from '../../search/fake.ts';

const genome = genomeOf(parseLayer('tanh(x)'));

/** A run of the `i`-th arm: 100 proposals without a cache, and more the further the arm. */
export const resultOf = (i: number, seed: number): RunResult => ({
  ...{ work: 10, spent: true, proposals: 100 * (1 + i / 4) + seed, withFunction: 80 },
  ...{ evaluated: 40, hits: { structural: 10 * i, functional: 2 * i }, partialHits: i },
  ...{ falseHits: i, seconds: { evaluating: 20, screening: 0.1 } },
  best: { index: 3, genome, fitness: 0.8 + 0.01 * i + 0.002 * seed },
  curve: [
    [1 + seed / 10, 0.6],
    [5 + i / 7, 0.8 + 0.01 * i + 0.002 * seed],
  ],
});

/** What a study would find if every run did as `resultOf` says. */
export function syntheticData(changes: Partial<HashingOptions> = {}): HashingData {
  const study = hashingStudy({
    config: configOf(),
    ...{ arms: HASHING_ARMS.map(({ name }) => name), bits: HASHING_BITS, seeds: 3 },
    ...{ budget: 10, bitsBudget: 10, folder: 'nowhere', sample: 100, ...changes },
  });
  const runs = plannedRuns(study).map((planned) => {
    const i = HASHING_ARMS.findIndex(({ name }) => name === planned.arm.name);
    return { planned, result: resultOf(Math.max(0, i), planned.seed) };
  });
  const collisions = study.bits.map((bits) => {
    const merged = Math.round(90 / bits ** 2);
    return { bits, functions: 90, keys: 90 - Math.floor(merged / 2), merged, largest: 2 };
  });
  const functions = Array.from({ length: 90 }, () => genome);
  const sample = { drawn: 200, structures: 100, functions };
  return hashingData(study, {
    ...{ runs, sample, collisions },
    quality: { [qualityKey(genome)]: [0.7, 0.72] },
  });
}
