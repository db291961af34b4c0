import type { Engine } from '../../eval/engine.ts';
import { armsOf, type HashingStudy, plannedRuns } from '../../search/study/hashing.ts';
import { QUALITY_REPEATS } from '../../search/study/quality.ts';
import { type Cost, costOf } from '../cost.ts';
import { duration, print, printJson } from '../output.ts';

/** What a dry run of a study tells. */
export interface StudyPlan {
  readonly arms: readonly string[];
  readonly bits: readonly number[];
  readonly seeds: number;
  /** Of each run, in full evaluations. */
  readonly budget: number;
  readonly runs: number;
  readonly workers: number;
  readonly cost: Pick<Cost, 'trainingSeconds' | 'proposalSeconds'>;
  /** If nothing of it is done yet. */
  readonly seconds: number;
}

/** Runs start and end with idle workers, and validate: measured time is longer than steps times budget by about this. */
const OVERHEAD = 1.15;

export function studyPlan(study: HashingStudy, engine: Engine, workers: number): StudyPlan {
  const { trainingSeconds, proposalSeconds } = costOf(study.base, engine, workers);
  const runs = plannedRuns(study).length;
  const training = runs * (study.budget + QUALITY_REPEATS) * trainingSeconds * OVERHEAD;
  const keys = study.bits.length > 0 ? study.sample * (2 + study.bits.length) : 0;
  return {
    arms: armsOf(study).map(({ name }) => name),
    bits: study.bits,
    ...{ seeds: study.seeds.length, budget: study.budget, runs, workers },
    cost: { trainingSeconds, proposalSeconds },
    seconds: training / workers + keys * proposalSeconds,
  };
}

export function tellStudyPlan(plan: StudyPlan, { json }: { readonly json?: true }): void {
  if (json) {
    printJson(plan);
    return;
  }
  const { arms, seeds, budget, runs, workers, seconds, cost } = plan;
  print(
    `${runs} runs: ${arms.length} arms (${arms.join(', ')}) with ${seeds} ${seeds === 1 ? 'seed' : 'seeds'} each.`,
  );
  print(
    `Each trains as much as ${budget} full evaluations, of which one takes ${cost.trainingSeconds.toFixed(2)} s of a core.`,
  );
  print(
    `All of it takes about ${duration(seconds)} with ${workers} ${workers === 1 ? 'worker' : 'workers'}.`,
  );
}
