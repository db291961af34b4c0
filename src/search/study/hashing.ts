import { join } from 'node:path';
import type { SearchConfig } from '../config.ts';
import { type Arm, armConfig, bitsArm, HASHING_ARMS, studyConfig } from './arms.ts';
import type { StudyRun } from './runs.ts';

/** What `evolayer study hashing` compares. */
export interface HashingStudy {
  /** What the arms have in common. */
  readonly base: SearchConfig;
  readonly arms: readonly Arm[];
  /** The precisions of keys, in mantissa bits. */
  readonly bits: readonly number[];
  readonly seeds: readonly number[];
  /** Of a run, in full evaluations. */
  readonly budget: number;
  /** Where the databases of the runs lie. */
  readonly folder: string;
  /** Structures of the sample in which keys collide. */
  readonly sample: number;
}

/** The precisions of "Unified Functional Hashing in AutoML", and two more. */
export const HASHING_BITS: readonly number[] = [1, 2, 3, 5, 7, 10, 15, 20, 24];

/** A run ends after so many proposals for each full evaluation of its budget, should it find nothing new to train. */
const PROPOSALS_PER_EVALUATION = 500;

export interface HashingOptions
  extends Pick<HashingStudy, 'bits' | 'budget' | 'folder' | 'sample'> {
  readonly config: SearchConfig;
  /** Names of HASHING_ARMS. */
  readonly arms: readonly string[];
  readonly seeds: number;
}

export const hashingStudy = ({ config, arms, seeds, ...rest }: HashingOptions): HashingStudy => ({
  ...rest,
  base: studyConfig(config, Math.ceil(PROPOSALS_PER_EVALUATION * Math.max(1, rest.budget))),
  arms: HASHING_ARMS.filter(({ name }) => arms.includes(name)),
  seeds: Array.from({ length: seeds }, (_, i) => i + 1),
});

export interface PlannedRun extends StudyRun {
  readonly arm: Arm;
  readonly seed: number;
}

/** All arms of a study, also those of the sweep over precisions, each once. */
export const armsOf = ({ arms, bits }: HashingStudy): readonly Arm[] => [
  ...new Map([...arms, ...bits.map(bitsArm)].map((arm) => [arm.name, arm])).values(),
];

/** The runs of a study: one seed after the other, so that what is there of an unfinished study compares. */
export const plannedRuns = (study: HashingStudy): PlannedRun[] =>
  study.seeds.flatMap((seed) =>
    armsOf(study).map((arm) => ({
      ...{ arm, seed, budget: study.budget },
      config: armConfig(study.base, arm, seed),
      path: join(study.folder, `${arm.name}-${seed}.db`),
    })),
  );
