import type { Engine } from '../../eval/engine.ts';
import { duration } from '../../format.ts';
import { QUALITY_REPEATS } from '../../search/study/quality.ts';
import type { Study } from '../../search/study/study.ts';
import { costOf } from '../cost.ts';
import { counted } from './tables.ts';

/** What a dry run of a study tells; a study may have more to tell. */
export interface StudyPlan {
  readonly arms: readonly string[];
  readonly seeds: number;
  /** Of each run, in full evaluations. */
  readonly budget: number;
  readonly runs: number;
  readonly workers: number;
  readonly cost: {
    /** Of a full evaluation, without its validations. */
    readonly trainingSeconds: number;
  };
  /** If nothing of it is done yet. */
  readonly seconds: number;
}

/** Runs start and end with idle workers, and validate: measured time is longer than steps times budget by about this. */
const OVERHEAD = 1.15;

export function studyPlan(study: Study, engine: Engine, workers: number): StudyPlan {
  const { trainingSeconds } = costOf(study.base, engine, workers);
  const budgets = new Map<string, number>();
  for (const { path, budget } of study.runs)
    budgets.set(path, Math.max(budget, budgets.get(path) ?? 0));
  const training = [...budgets.values()].reduce((sum, n) => sum + n, 0);
  const known = study.known.length * new Set(study.runs.map(({ freshSeed }) => freshSeed)).size;
  const afresh = (budgets.size + known) * QUALITY_REPEATS;
  return {
    arms: study.arms.map(({ name }) => name),
    ...{ seeds: study.seeds.length, budget: study.budget, runs: budgets.size, workers },
    cost: { trainingSeconds },
    seconds: ((training + afresh) * trainingSeconds * OVERHEAD) / workers,
  };
}

/** `more` is what only this study has to tell. */
export function planLines(plan: StudyPlan, more: readonly string[]): string[] {
  const { arms, seeds, budget, runs, workers, seconds, cost } = plan;
  return [
    `${runs} runs, of which each kind is there with ${counted(seeds, 'seed')}.`,
    ...(arms.length > 0
      ? [`Arms, ${counted(budget, 'full evaluation')} each: ${arms.join(', ')}.`]
      : []),
    ...more,
    `A full evaluation takes about ${cost.trainingSeconds.toFixed(2)} s of a core.`,
    `All of it takes about ${duration(seconds)} with ${counted(workers, 'worker')}.`,
  ];
}
