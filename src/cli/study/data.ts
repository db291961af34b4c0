import { protocolKey } from '../../eval/protocol.ts';
import { layerOf } from '../../graph/genome.ts';
import { formatLayer } from '../../graph/text.ts';
import { type Arm, bitsArm, CONTROL } from '../../search/study/arms.ts';
import type { Collisions, FunctionSample } from '../../search/study/collisions.ts';
import type { HashingStudy, Part, PlannedRun } from '../../search/study/hashing.ts';
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

/** What the runs of one kind have in common. */
export interface Summary {
  readonly runs: readonly RunData[];
  readonly proposals: Estimate;
  readonly evaluated: Estimate;
  /** Hits among the proposals that have a function. */
  readonly hitRate: { readonly structural: Estimate; readonly functional: Estimate };
  readonly partialRate: Estimate;
  /** False hits among the hits. */
  readonly falseRate: Estimate;
  /** Seconds of all workers in evaluations: how equal the training was by the clock. */
  readonly training: Estimate;
  /** Seconds of keys and probes over those of evaluations. */
  readonly screening: Estimate;
  /** Null where a run found no layer. */
  readonly best: Estimate | null;
  readonly quality: Estimate | null;
}

interface Described {
  readonly arm: string;
  readonly doc: string;
  readonly overrides: Arm['overrides'];
}

export interface ArmData extends Described, Summary {
  /**
   * Proposals covered, over those of no cache with the same seed; a geometric mean. Null for no cache
   * itself, and without it.
   */
  readonly ratio: Estimate | null;
  /** Quality less that of no cache with the same seed; null likewise. */
  readonly gain: Estimate | null;
  readonly curve: readonly CurvePoint[];
}

export interface BitsData extends Described, Summary {
  readonly bits: number;
}

export interface HashingData {
  readonly study: 'hashing';
  readonly protocol: string;
  readonly budget: number;
  readonly bitsBudget: number;
  readonly seeds: readonly number[];
  readonly arms: readonly ArmData[];
  readonly bits: readonly BitsData[];
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
  const runsOf = (part: Part, name: string): RunData[] =>
    findings.runs
      .filter(({ planned }) => planned.part === part && planned.arm.name === name)
      .map(({ planned, result }) => runData(planned.seed, result, findings.quality));
  const control = study.arms.some(({ name }) => name === CONTROL) ? runsOf('arms', CONTROL) : null;
  const { budget, bitsBudget, seeds, base } = study;
  const described = ({ name, doc, overrides }: Arm) => ({ arm: name, doc, overrides });
  const { drawn, structures, functions } = findings.sample;
  return {
    ...{ study: 'hashing', protocol: protocolKey(base.protocol), budget, bitsBudget, seeds },
    arms: study.arms.map((arm) => ({
      ...described(arm),
      ...armSummary(runsOf('arms', arm.name), arm.name === CONTROL ? null : control, budget),
    })),
    bits: study.bits.map((bits) => {
      const arm = bitsArm(bits);
      return { bits, ...described(arm), ...summary(runsOf('bits', arm.name)) };
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

const hasFound = (runs: readonly RunData[]): boolean => runs.every(({ best }) => best !== null);

function summary(runs: readonly RunData[]): Summary {
  const over = (value: (run: RunData) => number) => estimateOf(runs.map(value));
  const found = hasFound(runs);
  return {
    runs,
    proposals: over(({ proposals }) => proposals),
    evaluated: over(({ evaluated }) => evaluated),
    hitRate: {
      structural: over((run) => share(run.hits.structural, run.withFunction)),
      functional: over((run) => share(run.hits.functional, run.withFunction)),
    },
    partialRate: over((run) => share(run.partialHits, run.withFunction)),
    falseRate: over(({ falseHits, hits }) => share(falseHits, hits.structural + hits.functional)),
    training: over(({ seconds }) => seconds.evaluating),
    screening: over(({ seconds }) => share(seconds.screening, seconds.evaluating)),
    best: found ? over(({ best }) => best!.fitness) : null,
    quality: found ? over(freshMean) : null,
  };
}

/** `control` are the runs without a cache, of the same seeds in the same order. */
function armSummary(runs: readonly RunData[], control: readonly RunData[] | null, budget: number) {
  const paired = (value: (run: RunData, other: RunData) => number) =>
    control?.map((other, i) => value(runs[i]!, other)) ?? null;
  const ratios = paired(({ proposals }, other) => proposals / other.proposals);
  const found = hasFound(runs);
  const gains =
    found && hasFound(control ?? [])
      ? paired((run, other) => freshMean(run) - freshMean(other))
      : null;
  return {
    ...summary(runs),
    ratio: ratios && ratioOf(ratios),
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
