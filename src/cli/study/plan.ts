import type { Engine } from '../../eval/engine.ts';
import { type HashingStudy, plannedRuns } from '../../search/study/hashing.ts';
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
  readonly bitsBudget: number;
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
  const budgets = new Map<string, number>();
  for (const { path, budget } of plannedRuns(study))
    budgets.set(path, Math.max(budget, budgets.get(path) ?? 0));
  const evaluations = [...budgets.values()].reduce((sum, n) => sum + n + QUALITY_REPEATS, 0);
  const training = evaluations * trainingSeconds * OVERHEAD;
  const keys = study.bits.length > 0 ? study.sample * (2 + study.bits.length) : 0;
  return {
    arms: study.arms.map(({ name }) => name),
    bits: study.bits,
    ...{ seeds: study.seeds.length, budget: study.budget, bitsBudget: study.bitsBudget },
    ...{ runs: budgets.size, workers },
    cost: { trainingSeconds, proposalSeconds },
    seconds: training / workers + keys * proposalSeconds,
  };
}

export function tellStudyPlan(plan: StudyPlan, { json }: { readonly json?: true }): void {
  if (json) {
    printJson(plan);
    return;
  }
  const { arms, bits, seeds, budget, bitsBudget, runs, workers, seconds, cost } = plan;
  const each = `${cost.trainingSeconds.toFixed(2)} s of a core`;
  print(`${runs} runs, of which each kind is there with ${counted(seeds, 'seed')}.`);
  if (arms.length > 0)
    print(`Arms, ${counted(budget, 'full evaluation')} each: ${arms.join(', ')}.`);
  if (bits.length > 0)
    print(`Keys of ${bits.join(', ')} bits, ${counted(bitsBudget, 'full evaluation')} each.`);
  print(`A full evaluation takes about ${each}.`);
  print(`All of it takes about ${duration(seconds)} with ${counted(workers, 'worker')}.`);
}

const counted = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`;
