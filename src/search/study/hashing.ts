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
  /** Of a run of the arms, in full evaluations. */
  readonly budget: number;
  /** Of a run with keys of one of the precisions. */
  readonly bitsBudget: number;
  /** Where the databases of the runs lie. */
  readonly folder: string;
  /** Structures of the sample in which keys collide. */
  readonly sample: number;
}

/** The precisions of "Unified Functional Hashing in AutoML", and two more. */
export const HASHING_BITS: readonly number[] = [1, 2, 3, 5, 7, 10, 15, 20, 24];

/** A run ends after so many proposals for each full evaluation of its budget, should it find nothing new to train. */
const PROPOSALS_PER_EVALUATION = 500;

const mostProposals = (budget: number): number =>
  Math.ceil(PROPOSALS_PER_EVALUATION * Math.max(1, budget));

export interface HashingOptions
  extends Pick<HashingStudy, 'bits' | 'budget' | 'bitsBudget' | 'folder' | 'sample'> {
  readonly config: SearchConfig;
  /** Names of HASHING_ARMS. */
  readonly arms: readonly string[];
  readonly seeds: number;
}

export const hashingStudy = ({ config, arms, seeds, ...rest }: HashingOptions): HashingStudy => ({
  ...rest,
  base: studyConfig(config, mostProposals(Math.max(rest.budget, rest.bitsBudget))),
  arms: HASHING_ARMS.filter(({ name }) => arms.includes(name)),
  seeds: Array.from({ length: seeds }, (_, i) => i + 1),
});

/** What a run of the study is for. */
export type Part = 'arms' | 'bits';

export interface PlannedRun extends StudyRun {
  readonly arm: Arm;
  readonly part: Part;
  readonly seed: number;
}

/**
 * The runs of a study: one seed after the other, so that what is there of an unfinished study compares. The
 * functional arm is also the one of the usual precision: its run is there twice, and made once.
 */
export const plannedRuns = (study: HashingStudy): PlannedRun[] =>
  study.seeds.flatMap((seed) => {
    const runOf = (arm: Arm, part: Part, budget: number): PlannedRun => ({
      ...{ arm, part, seed, budget },
      config: armConfig(study.base, arm, seed),
      path: join(study.folder, `${arm.name}-${seed}.db`),
    });
    return [
      ...study.arms.map((arm) => runOf(arm, 'arms', study.budget)),
      ...study.bits.map((bits) => runOf(bitsArm(bits), 'bits', study.bitsBudget)),
    ];
  });
