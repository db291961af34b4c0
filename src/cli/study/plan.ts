import type { Engine } from '../../eval/engine.ts';
import { collisionsAt, sampleFunctions } from '../../search/study/collisions.ts';
import { type HashingStudy, plannedRuns } from '../../search/study/hashing.ts';
import { QUALITY_REPEATS } from '../../search/study/quality.ts';
import { costOf } from '../cost.ts';
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
  readonly cost: {
    /** Of a full evaluation, without its validations. */
    readonly trainingSeconds: number;
    /** Of the sample, by one thread: drawing it, and its keys of all precisions. */
    readonly sampleSeconds: number;
  };
  /** If nothing of it is done yet. */
  readonly seconds: number;
}

/** Runs start and end with idle workers, and validate: measured time is longer than steps times budget by about this. */
const OVERHEAD = 1.15;

/** Structures whose keys are timed, which takes a second or less. */
const TIMED = 200;

async function sampleSecondsOf({ base, bits, sample: structures }: HashingStudy): Promise<number> {
  if (bits.length === 0) return 0;
  const pause = async () => {};
  const start = performance.now();
  const sample = await sampleFunctions(TIMED, base, pause);
  const drawn = performance.now();
  await collisionsAt(bits[0]!, sample, pause);
  const keyed = performance.now();
  return ((drawn - start + bits.length * (keyed - drawn)) * (structures / TIMED)) / 1000;
}

export async function studyPlan(
  study: HashingStudy,
  engine: Engine,
  workers: number,
): Promise<StudyPlan> {
  const { trainingSeconds } = costOf(study.base, engine, workers);
  const sampleSeconds = await sampleSecondsOf(study);
  const budgets = new Map<string, number>();
  for (const { path, budget } of plannedRuns(study))
    budgets.set(path, Math.max(budget, budgets.get(path) ?? 0));
  const evaluations = [...budgets.values()].reduce((sum, n) => sum + n + QUALITY_REPEATS, 0);
  const training = evaluations * trainingSeconds * OVERHEAD;
  return {
    arms: study.arms.map(({ name }) => name),
    bits: study.bits,
    ...{ seeds: study.seeds.length, budget: study.budget, bitsBudget: study.bitsBudget },
    ...{ runs: budgets.size, workers },
    cost: { trainingSeconds, sampleSeconds },
    seconds: training / workers + sampleSeconds,
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
