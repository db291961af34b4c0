import { layerOf } from '../../graph/genome.ts';
import { formatLayer } from '../../graph/text.ts';
import { type Interval, intervalOf, mean } from '../../reading/statistics.ts';
import type { Arm } from '../../search/study/arms.ts';
import { freshKey, type Measured } from '../../search/study/quality.ts';
import type { RunResult } from '../../search/study/result.ts';
import type { Part, PlannedRun } from '../../search/study/study.ts';

/** A mean over seeds, with its 95 % confidence interval, which one seed does not give. */
export interface Estimate {
  readonly mean: number;
  readonly interval: Interval | null;
}

/** One run, as `data.json` has it. */
export interface RunData extends Omit<RunResult, 'best'> {
  readonly seed: number;
  readonly best: {
    readonly index: number;
    readonly formula: string;
    /** As the run measured it. */
    readonly fitness: number;
    /** Of fresh evaluations. */
    readonly fresh: readonly number[];
  } | null;
}

/** The best fitness known at some work, over seeds. */
export interface CurvePoint extends Estimate {
  readonly work: number;
}

export interface Described {
  readonly arm: string;
  readonly doc: string;
  readonly overrides: Arm['overrides'];
}

/** What the runs of one kind have in common. */
export interface Summary {
  readonly runs: readonly RunData[];
  readonly proposals: Estimate;
  readonly evaluated: Estimate;
  /** Seconds of all workers in evaluations: how equal the training was by the clock. */
  readonly training: Estimate;
}

/** What became of one run. */
export interface Finding {
  readonly planned: PlannedRun;
  readonly result: RunResult;
}

export interface Findings {
  readonly runs: readonly Finding[];
  readonly quality: Measured;
}

export const estimateOf = (values: readonly number[]): Estimate => ({
  mean: mean(values),
  interval: intervalOf(values),
});

export const over = (runs: readonly RunData[], value: (run: RunData) => number): Estimate =>
  estimateOf(runs.map(value));

export const describedArm = ({ name, doc, overrides }: Arm): Described => ({
  ...{ arm: name, doc, overrides },
});

/** The runs of one arm, in the order of the seeds. */
export const runsOf = ({ runs, quality }: Findings, part: Part, arm: string): RunData[] =>
  runs
    .filter(({ planned }) => planned.part === part && planned.arm.name === arm)
    .map((finding) => runData(finding, quality));

function runData({ planned, result: { best, ...result } }: Finding, quality: Measured): RunData {
  const { seed, freshSeed } = planned;
  if (best === null) return { seed, ...result, best };
  const { index, fitness, genome } = best;
  const fresh = quality[freshKey({ genome, seed: freshSeed })]!;
  const formula = formatLayer(layerOf(genome));
  return { seed, ...result, best: { index, formula, fitness, fresh } };
}

export const summaryOf = (runs: readonly RunData[]): Summary => ({
  runs,
  proposals: over(runs, ({ proposals }) => proposals),
  evaluated: over(runs, ({ evaluated }) => evaluated),
  training: over(runs, ({ seconds }) => seconds.evaluating),
});

/** Places between the start and the end of a budget at which curves are drawn. */
const CURVE_POINTS = 60;

/** The best fitness known to the runs, from where every run knows a layer; `unknown` stands for none, if it is given. */
export function curveOf(
  runs: readonly RunData[],
  budget: number,
  unknown: number | null = null,
): CurvePoint[] {
  const points: CurvePoint[] = [];
  for (let i = 1; i <= CURVE_POINTS; i++) {
    const work = (budget * i) / CURVE_POINTS;
    const values = runs.flatMap(({ curve }) => {
      const known = curve.findLast(([reached]) => reached <= work)?.[1] ?? unknown;
      return known === null ? [] : [known];
    });
    if (values.length === runs.length) points.push({ work, ...estimateOf(values) });
  }
  return points;
}
