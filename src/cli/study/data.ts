import { protocolKey } from '../../eval/protocol.ts';
import { layerOf } from '../../graph/genome.ts';
import { formatLayer } from '../../graph/text.ts';
import { type Arm, bitsArm, CONTROL } from '../../search/study/arms.ts';
import type { Collisions, FunctionSample } from '../../search/study/collisions.ts';
import { armsOf, type HashingStudy, type PlannedRun } from '../../search/study/hashing.ts';
import { type Measured, qualityKey } from '../../search/study/quality.ts';
import type { RunResult } from '../../search/study/result.ts';
import { type Interval, intervalOf, mean } from '../statistics.ts';

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

export interface ArmData {
  readonly arm: string;
  readonly doc: string;
  readonly overrides: Arm['overrides'];
  readonly runs: readonly RunData[];
  readonly proposals: Estimate;
  /** Proposals covered, over those of no cache with the same seed; a geometric mean. Null for no cache itself, and without it. */
  readonly ratio: Estimate | null;
  readonly evaluated: Estimate;
  /** Hits among the proposals that have a function. */
  readonly hitRate: { readonly structural: Estimate; readonly functional: Estimate };
  readonly partialRate: Estimate;
  /** False hits among the hits. */
  readonly falseRate: Estimate;
  /** Seconds of keys and probes over those of evaluations. */
  readonly screening: Estimate;
  /** Null where a run found no layer. */
  readonly best: Estimate | null;
  readonly quality: Estimate | null;
  /** Quality less that of no cache with the same seed; null likewise. */
  readonly gain: Estimate | null;
  readonly curve: readonly CurvePoint[];
}

export interface HashingData {
  readonly study: 'hashing';
  readonly protocol: string;
  readonly budget: number;
  readonly seeds: readonly number[];
  readonly arms: readonly ArmData[];
  readonly bits: readonly (Omit<ArmData, 'curve'> & { readonly bits: number })[];
  readonly sample: Omit<FunctionSample, 'functions'> & { readonly functions: number };
  readonly collisions: readonly Collisions[];
}

export interface Finding {
  readonly planned: PlannedRun;
  readonly result: RunResult;
}

export interface Findings {
  readonly runs: readonly Finding[];
  readonly quality: Measured;
  readonly sample: FunctionSample;
  readonly collisions: readonly Collisions[];
}

const estimateOf = (values: readonly number[]): Estimate => ({
  mean: mean(values),
  interval: intervalOf(values),
});

/** A geometric mean, with the interval that the logarithms have. */
function ratioOf(ratios: readonly number[]): Estimate {
  const logarithms = estimateOf(ratios.map(Math.log));
  const interval = logarithms.interval?.map(Math.exp) as [number, number] | undefined;
  return { mean: Math.exp(logarithms.mean), interval: interval ?? null };
}

export function hashingData(study: HashingStudy, findings: Findings): HashingData {
  const runs = new Map<string, RunData[]>(armsOf(study).map(({ name }) => [name, []]));
  for (const { planned, result } of findings.runs)
    runs.get(planned.arm.name)!.push(runData(planned.seed, result, findings.quality));
  const control = runs.get(CONTROL) ?? null;
  const { budget, seeds, base } = study;
  const dataOf = (arm: Arm): ArmData => ({
    ...{ arm: arm.name, doc: arm.doc, overrides: arm.overrides },
    ...summary(runs.get(arm.name)!, control, budget),
  });
  const { drawn, structures, functions } = findings.sample;
  return {
    ...{ study: 'hashing', protocol: protocolKey(base.protocol), budget, seeds },
    arms: study.arms.map(dataOf),
    bits: study.bits.map((bits) => {
      const { curve: _, ...data } = dataOf(bitsArm(bits));
      return { bits, ...data };
    }),
    sample: { drawn, structures, functions: functions.length },
    collisions: findings.collisions,
  };
}

function runData(seed: number, { best, ...result }: RunResult, quality: Measured): RunData {
  if (best === null) return { seed, ...result, best };
  const { index, fitness, genome } = best;
  const fresh = quality[qualityKey(genome)]!;
  const formula = formatLayer(layerOf(genome));
  return { seed, ...result, best: { index, formula, fitness, fresh } };
}

type Summary = Omit<ArmData, 'arm' | 'doc' | 'overrides'>;

function summary(
  runs: readonly RunData[],
  control: readonly RunData[] | null,
  budget: number,
): Summary {
  const over = (value: (run: RunData) => number) => estimateOf(runs.map(value));
  /** A comparison with no cache, seed by seed. */
  const paired = (value: (run: RunData, other: RunData) => number) =>
    runs === control ? null : (control?.map((other, i) => value(runs[i]!, other)) ?? null);
  const ratios = paired(({ proposals }, other) => proposals / other.proposals);
  const found = runs.every(({ best }) => best !== null);
  const foundBoth = found && control?.every(({ best }) => best !== null);
  const gains = foundBoth ? paired((run, other) => freshMean(run) - freshMean(other)) : null;
  return {
    runs,
    proposals: over(({ proposals }) => proposals),
    ratio: ratios && ratioOf(ratios),
    evaluated: over(({ evaluated }) => evaluated),
    hitRate: {
      structural: over((run) => share(run.hits.structural, run.withFunction)),
      functional: over((run) => share(run.hits.functional, run.withFunction)),
    },
    partialRate: over((run) => share(run.partialHits, run.withFunction)),
    falseRate: over(({ falseHits, hits }) => share(falseHits, hits.structural + hits.functional)),
    screening: over(({ seconds }) => share(seconds.screening, seconds.evaluating)),
    best: found ? over(({ best }) => best!.fitness) : null,
    quality: found ? over(freshMean) : null,
    gain: gains && estimateOf(gains),
    curve: found ? curveOf(runs, budget) : [],
  };
}

const share = (part: number, whole: number): number => (whole > 0 ? part / whole : 0);
const freshMean = ({ best }: RunData): number => mean(best!.fresh);

/** Places between the start and the end of a budget at which curves are drawn. */
const CURVE_POINTS = 60;

/** From where every run knows a layer. */
function curveOf(runs: readonly RunData[], budget: number): CurvePoint[] {
  const points: CurvePoint[] = [];
  for (let i = 1; i <= CURVE_POINTS; i++) {
    const work = (budget * i) / CURVE_POINTS;
    const values = runs.flatMap(({ curve }) => {
      const known = curve.findLast(([reached]) => reached <= work);
      return known ? [known[1]] : [];
    });
    if (values.length === runs.length) points.push({ work, ...estimateOf(values) });
  }
  return points;
}
