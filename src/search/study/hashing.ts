import type { SearchConfig } from '../config.ts';
import { type Arm, studyConfig, USUAL_BITS } from './arms.ts';
import { mostProposals, type PlannedRun, plannedRun, type Study, seedsOf } from './study.ts';

/** What `evolayer study hashing` compares. */
export interface HashingStudy extends Study {
  /** The precisions of keys, in mantissa bits. */
  readonly bits: readonly number[];
  /** Of a run with keys of one of the precisions. */
  readonly bitsBudget: number;
  /** Structures of the sample in which keys collide. */
  readonly sample: number;
}

/** The arm that the others are compared with. */
export const HASHING_CONTROL = 'no-cache';

/** The experiments of "Unified Functional Hashing in AutoML" (arXiv 2302.05433). */
export const HASHING_ARMS: readonly Arm[] = [
  {
    name: HASHING_CONTROL,
    doc: 'every proposal that passes the probe is evaluated',
    overrides: { cache: { by: 'nothing' } },
  },
  {
    name: 'structural',
    doc: 'equal graphs, simplified, are evaluated once',
    overrides: { cache: { by: 'structure' } },
  },
  { name: 'functional', doc: 'equal functions are evaluated once', overrides: {} },
  {
    name: 'aggregating',
    doc: 'functional, with the mean of up to 3 evaluations per function',
    overrides: { cache: { evaluations: 3 } },
  },
  {
    name: 'forgetful',
    doc: 'functional, with every tenth hit evaluated anew',
    overrides: { cache: { forget: 0.1 } },
  },
  {
    name: 'functional-change',
    doc: 'functional, with mutation repeated, up to 20 times, until the function changes',
    overrides: { functionalChange: 20 },
  },
  {
    name: 'tabu',
    doc: 'functional, with up to 10 other draws for a function that was proposed 5 times',
    overrides: { tabu: { limit: 5, attempts: 10 } },
  },
];

/** The precisions of "Unified Functional Hashing in AutoML", and two more. */
export const HASHING_BITS: readonly number[] = [1, 2, 3, 5, 7, 10, 15, 20, 24];

/** The functional cache with keys of so many mantissa bits; those of the usual precision are the functional arm. */
export const bitsArm = (bits: number): Arm =>
  bits === USUAL_BITS
    ? HASHING_ARMS.find(({ name }) => name === 'functional')!
    : {
        name: `bits-${bits}`,
        doc: `functional, with keys of ${bits} mantissa bits`,
        overrides: { cache: { mantissaBits: bits } },
      };

export interface HashingOptions
  extends Pick<HashingStudy, 'bits' | 'budget' | 'bitsBudget' | 'folder' | 'sample'> {
  readonly config: SearchConfig;
  /** Names of HASHING_ARMS. */
  readonly arms: readonly string[];
  readonly seeds: number;
}

export function hashingStudy({ config, seeds, ...options }: HashingOptions): HashingStudy {
  const { budget, bitsBudget } = options;
  const study = {
    ...options,
    base: studyConfig(config, mostProposals(Math.max(budget, bitsBudget)), {}),
    arms: HASHING_ARMS.filter(({ name }) => options.arms.includes(name)),
    seeds: seedsOf(seeds),
    known: [],
  };
  return { ...study, runs: hashingRuns(study) };
}

/**
 * One seed after the other, so that what is there of an unfinished study compares. The functional arm is
 * also the one of the usual precision: its run is there twice, and made once.
 */
const hashingRuns = (study: Omit<HashingStudy, 'runs'>): PlannedRun[] => {
  // The fresh evaluations of a layer are the same for all runs that found it.
  const freshSeed = study.base.protocol.seed;
  return study.seeds.flatMap((seed) => [
    ...study.arms.map((arm) =>
      plannedRun(study, { arm, part: 'arms', seed, freshSeed, budget: study.budget }),
    ),
    ...study.bits.map((bits) => {
      const budget = study.bitsBudget;
      return plannedRun(study, { arm: bitsArm(bits), part: 'bits', seed, freshSeed, budget });
    }),
  ]);
};
