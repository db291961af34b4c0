import { type HashingData, hashingData } from '../../../src/cli/study/hashing-data.ts';
import { type SearchData, searchData } from '../../../src/cli/study/search-data.ts';
import { genomeOf } from '../../../src/graph/genome.ts';
import { parseLayer } from '../../../src/graph/text.ts';
import {
  HASHING_ARMS,
  HASHING_BITS,
  type HashingOptions,
  hashingStudy,
} from '../../../src/search/study/hashing.ts';
import { freshKey } from '../../../src/search/study/quality.ts';
import type { RunResult } from '../../../src/search/study/result.ts';
import { SEARCH_ARMS, searchStudy } from '../../../src/search/study/search.ts';
import { configOf } from '../../search/fake.ts';

const genome = genomeOf(parseLayer('tanh(x)'));

/** A run of the `i`-th arm: 100 proposals without a cache, and more the further the arm. */
export const resultOf = (i: number, seed: number): RunResult => ({
  ...{ work: 10, spent: true, proposals: 100 * (1 + i / 4) + seed, withFunction: 80 },
  ...{
    evaluated: 40,
    trained: 30,
    hits: { structural: 10 * i, functional: 2 * i },
    partialHits: i,
  },
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
  const runs = study.runs.map((planned) => {
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
    quality: { [freshKey({ genome, seed: study.base.protocol.seed })]: [0.7, 0.72] },
  });
}

/** How much better each arm's best layers are than those of the first, by seed; the last arm's runs find none. */
const GAINS = [0, 0.01, 0.02, 0.03];

interface SearchChanges {
  readonly arms?: readonly string[];
  readonly seeds?: number;
  readonly baselines?: readonly string[];
}

/** What a study of searches would find; each layer's fresh evaluations are told apart by their formula. */
export function syntheticSearches({
  arms = SEARCH_ARMS.map(({ name }) => name),
  seeds = 5,
  baselines = ['BN-ReLU', 'EvoNorm-S0'],
}: SearchChanges = {}): SearchData {
  const config = configOf({ baselines });
  const study = searchStudy({ config, arms, seeds, budget: 10, folder: 'nowhere' });
  const layerFor = (i: number) => genomeOf(parseLayer(LAYERS[i]!));
  const quality: Record<string, number[]> = {};
  for (const seed of study.seeds) {
    for (const { genome } of study.known) quality[freshKey({ genome, seed })] = [0.8, 0.82];
    for (const [i, gain] of GAINS.entries()) {
      const value = 0.7 + gain + (i > 0 ? 0.001 * (seed % 3) : 0);
      quality[freshKey({ genome: layerFor(i), seed })] = [value - 0.01, value + 0.01];
    }
  }
  const runs = study.runs.map((planned) => {
    const i = SEARCH_ARMS.findIndex(({ name }) => name === planned.arm.name);
    const found = resultOf(i, planned.seed);
    const best = i < LAYERS.length ? { ...found.best!, genome: layerFor(i) } : null;
    return { planned, result: { ...found, best, curve: best ? found.curve : [] } };
  });
  return searchData(study, { runs, quality });
}

const LAYERS = ['tanh(x)', 'sigmoid(x)', 'x * tanh(x)', 'x * sigmoid(x)'];
