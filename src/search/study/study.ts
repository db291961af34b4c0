import { join } from 'node:path';
import type { Genome } from '../../graph/genome.ts';
import type { SearchConfig } from '../config.ts';
import { type Arm, armConfig } from './arms.ts';
import type { StudyRun } from './runs.ts';

/** Searches with the same training, to be compared. */
export interface Study {
  /** What the arms have in common. */
  readonly base: SearchConfig;
  readonly arms: readonly Arm[];
  readonly seeds: readonly number[];
  /** Of a run of the arms, in full evaluations. */
  readonly budget: number;
  /** Where the databases of the runs lie. */
  readonly folder: string;
  /** All of them, in the order in which they are made; runs with one path are made once. */
  readonly runs: readonly PlannedRun[];
  /** Layers that are evaluated as the best ones of the runs are, to compare with. */
  readonly known: readonly KnownLayer[];
}

export interface KnownLayer {
  readonly name: string;
  readonly genome: Genome;
}

/** What a run is for: the comparison of arms, or that of keys. */
export type Part = 'arms' | 'bits';

export interface PlannedRun extends StudyRun {
  readonly arm: Arm;
  readonly part: Part;
  readonly seed: number;
  /** The protocol's seed in fresh evaluations of its best layer. */
  readonly freshSeed: number;
}

export const seedsOf = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

/** The run of one arm with one seed. */
export const plannedRun = (
  { base, folder }: Pick<Study, 'base' | 'folder'>,
  run: Pick<PlannedRun, 'arm' | 'part' | 'seed' | 'freshSeed' | 'budget'>,
): PlannedRun => ({
  ...run,
  config: armConfig(base, run.arm, run.seed),
  unit: base.protocol,
  path: join(folder, `${run.arm.name}-${run.seed}.db`),
});

/** A run ends after so many proposals for each full evaluation of its budget, should it find nothing new to train. */
const PROPOSALS_PER_EVALUATION = 500;

export const mostProposals = (budget: number): number =>
  Math.ceil(PROPOSALS_PER_EVALUATION * Math.max(1, budget));
