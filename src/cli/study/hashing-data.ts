import { protocolKey } from '../../eval/protocol.ts';
import { type Interval, intervalOfShare, mean } from '../../reading/statistics.ts';
import type { Collisions, FunctionSample } from '../../search/study/collisions.ts';
import { bitsArm, HASHING_CONTROL, type HashingStudy } from '../../search/study/hashing.ts';
import {
  type CurvePoint,
  curveOf,
  type Described,
  describedArm,
  type Estimate,
  estimateOf,
  type Findings,
  over,
  type RunData,
  runsOf,
  type Summary,
  summaryOf,
} from './summary.ts';

/** The hits of all runs of one kind together, and those of them on the evaluation of another function. */
export interface FalseHits {
  readonly hits: number;
  readonly count: number;
  /** Null where there were no hits. */
  readonly rate: number | null;
  /** The exact one: where no hit is false, a mean over seeds would be sure of what it cannot know. */
  readonly interval: Interval | null;
}

/** What the study tells of the runs of one kind. */
export interface CacheSummary extends Summary {
  /** Hits among the proposals that have a function. */
  readonly hitRate: { readonly structural: Estimate; readonly functional: Estimate };
  readonly partialRate: Estimate;
  readonly falseHits: FalseHits;
  /** Seconds of keys and probes over those of evaluations. */
  readonly screening: Estimate;
  /** Null where a run found no layer. */
  readonly best: Estimate | null;
  readonly quality: Estimate | null;
}

export interface ArmData extends Described, CacheSummary {
  /**
   * Proposals covered, over those of no cache with the same seed; a geometric mean. Null for no cache
   * itself, and without it.
   */
  readonly ratio: Estimate | null;
  /** Quality less that of no cache with the same seed; null likewise. */
  readonly gain: Estimate | null;
  readonly curve: readonly CurvePoint[];
}

export interface BitsData extends Described, CacheSummary {
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

/** What the study finds besides the runs. */
export interface CollisionFindings {
  readonly sample: FunctionSample;
  readonly collisions: readonly Collisions[];
}

/** A geometric mean, with the interval that the logarithms have. */
function ratioOf(ratios: readonly number[]): Estimate {
  const logarithms = estimateOf(ratios.map(Math.log));
  const interval = logarithms.interval?.map(Math.exp) as [number, number] | undefined;
  return { mean: Math.exp(logarithms.mean), interval: interval ?? null };
}

export function hashingData(
  study: HashingStudy,
  findings: Findings & CollisionFindings,
): HashingData {
  const isThere = study.arms.some(({ name }) => name === HASHING_CONTROL);
  const control = isThere ? runsOf(findings, 'arms', HASHING_CONTROL) : null;
  const { budget, bitsBudget, seeds, base } = study;
  const { drawn, structures, functions } = findings.sample;
  return {
    ...{ study: 'hashing', protocol: protocolKey(base.protocol), budget, bitsBudget, seeds },
    arms: study.arms.map((arm) => {
      const other = arm.name === HASHING_CONTROL ? null : control;
      const runs = runsOf(findings, 'arms', arm.name);
      return { ...describedArm(arm), ...armSummary(runs, other, budget) };
    }),
    bits: study.bits.map((bits) => {
      const arm = bitsArm(bits);
      return { bits, ...describedArm(arm), ...cacheSummary(runsOf(findings, 'bits', arm.name)) };
    }),
    sample: { drawn, structures, functions: functions.length },
    collisions: findings.collisions,
  };
}

const hasFound = (runs: readonly RunData[]): boolean => runs.every(({ best }) => best !== null);

function cacheSummary(runs: readonly RunData[]): CacheSummary {
  const found = hasFound(runs);
  const hits = {
    structural: over(runs, (run) => share(run.hits.structural, run.withFunction)),
    functional: over(runs, (run) => share(run.hits.functional, run.withFunction)),
  };
  return {
    ...summaryOf(runs),
    hitRate: hits,
    partialRate: over(runs, (run) => share(run.partialHits, run.withFunction)),
    falseHits: falseHitsOf(runs),
    screening: over(runs, ({ seconds }) => share(seconds.screening, seconds.evaluating)),
    best: found ? over(runs, ({ best }) => best!.fitness) : null,
    quality: found ? over(runs, freshMean) : null,
  };
}

function falseHitsOf(runs: readonly RunData[]): FalseHits {
  const sum = (of: (run: RunData) => number) => runs.reduce((total, run) => total + of(run), 0);
  const hits = sum((run) => run.hits.structural + run.hits.functional);
  const count = sum((run) => run.falseHits);
  return {
    hits,
    count,
    rate: hits > 0 ? count / hits : null,
    interval: intervalOfShare(count, hits),
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
    ...cacheSummary(runs),
    ratio: ratios && ratioOf(ratios),
    gain: gains && estimateOf(gains),
    curve: found ? curveOf(runs, budget) : [],
  };
}

const share = (part: number, whole: number): number => (whole > 0 ? part / whole : 0);
const freshMean = ({ best }: RunData): number => mean(best!.fresh);
