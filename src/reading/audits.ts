import type { Tier } from '../../db/candidates.ts';
import type { OutcomeName } from '../eval/outcome.ts';
import { type Interval, intervalOfShare, mean, tailOfT, variance } from './statistics.ts';

/** How an evaluation ended. */
export interface Ending {
  readonly outcome: OutcomeName;
  /** Null where it was rejected. */
  readonly fitness: number | null;
}

/** A hit whose own graph was evaluated after all, with a seed of its own. */
export interface Audit {
  /** Its own, by any name. */
  readonly graph: string;
  readonly tier: Tier;
  /**
   * True where nothing but the very same graph had been evaluated for what the hit took over: what differs
   * then is noise, and such audits are the control group of the others.
   */
  readonly sameGraph: boolean;
  readonly taken: Ending;
  /** How many evaluations `taken` is the mean of. */
  readonly evaluations: number;
  readonly own: Ending;
}

/** What evaluations of one graph gave, with seeds that differ. */
export interface Repeats {
  readonly graph: string;
  readonly fitnesses: readonly number[];
}

/** How far evaluations of one graph lie apart. */
export interface Noise {
  /** The standard deviation of a fitness. */
  readonly sigma: number;
  readonly degreesOfFreedom: number;
}

/**
 * - `agrees`: both were rejected, in whatever way, or the fitnesses are as close as noise leaves them;
 * - `differs`: the fitnesses are further apart;
 * - `rejected`: one was rejected, and the other was not;
 * - `open`: it cannot be said, because a worker ran out of time or crashed, or because too little is known of
 *   the noise.
 */
export type Verdict = 'agrees' | 'differs' | 'rejected' | 'open';

/** Two-sided, of a normal value further than 3σ from its mean. */
export const RARE = 0.0026998;

/** Fewer degrees of freedom say next to nothing about σ. */
export const LEAST_FREEDOM = 5;

/** Rejections of which the candidate may be innocent. */
const MACHINE: readonly OutcomeName[] = ['timeout', 'crashed'];

/** The noise of repeated evaluations, pooled over graphs: of all evaluations, or of all but one. */
export class PooledNoise {
  readonly evaluations: number;
  readonly graphs: number;
  readonly #groups = new Map<string, { readonly size: number; readonly mean: number }>();
  /** Squared deviations from the means of the groups, and their degrees of freedom. */
  readonly #squares: number;
  readonly #freedom: number;

  /** Graphs that were evaluated once say nothing. */
  constructor(all: readonly Repeats[]) {
    const groups = all.filter(({ fitnesses }) => fitnesses.length > 1);
    for (const { graph, fitnesses } of groups)
      this.#groups.set(graph, { size: fitnesses.length, mean: mean(fitnesses) });
    this.graphs = groups.length;
    this.evaluations = groups.reduce((sum, { fitnesses }) => sum + fitnesses.length, 0);
    this.#freedom = this.evaluations - this.graphs;
    this.#squares = groups.reduce((sum, { fitnesses }) => sum + squaresOf(fitnesses), 0);
  }

  /** Null where too little is known. */
  get noise(): Noise | null {
    return noiseOf(this.#squares, this.#freedom);
  }

  /**
   * What an audit that gave `fitness` is compared with: what is part of σ itself could not lie far outside
   * of it.
   */
  without(graph: string, fitness: number | null): Noise | null {
    const group = this.#groups.get(graph);
    if (!group || fitness === null) return this.noise;
    const own = (group.size / (group.size - 1)) * (fitness - group.mean) ** 2;
    // Rounding may leave less than nothing.
    return noiseOf(Math.max(0, this.#squares - own), this.#freedom - 1);
  }
}

const squaresOf = (values: readonly number[]): number => variance(values) * (values.length - 1);

const noiseOf = (squares: number, degreesOfFreedom: number): Noise | null =>
  degreesOfFreedom < LEAST_FREEDOM
    ? null
    : { sigma: Math.sqrt(squares / degreesOfFreedom), degreesOfFreedom };

/**
 * How far the fitness of one evaluation lies from the mean of others, of the same graph, in 99.73 % of all
 * cases: 3·√2·σ from one other; further where σ itself is from few evaluations (Student's t).
 */
export const reachOf = ({ sigma, degreesOfFreedom }: Noise, evaluations: number): number =>
  limitOf(degreesOfFreedom) * sigma * Math.sqrt(1 + 1 / evaluations);

/** Quantiles take time, and the audits of a run ask for the same two. */
const limits = new Map<number, number>();

function limitOf(degreesOfFreedom: number): number {
  const known = limits.get(degreesOfFreedom) ?? tailOfT(RARE, degreesOfFreedom);
  limits.set(degreesOfFreedom, known);
  return known;
}

/** Whether a hit was right. */
export function verdictOf({ taken, own, evaluations }: Audit, noise: Noise | null): Verdict {
  if (MACHINE.includes(taken.outcome) || MACHINE.includes(own.outcome)) return 'open';
  const [a, b] = [taken.fitness, own.fitness];
  if (a === null || b === null) return a === b ? 'agrees' : 'rejected';
  if (noise === null) return 'open';
  return Math.abs(a - b) > reachOf(noise, evaluations) ? 'differs' : 'agrees';
}

/** What became of a group of audits. */
export interface AuditCounts extends Readonly<Record<Verdict, number>> {
  readonly audits: number;
  /** Those that are false, of those of which it can be said; null where that is none, or not to be known. */
  readonly rate: number | null;
  /** Of the rate, with 95 % confidence. */
  readonly interval: Interval | null;
}

/**
 * Counts the verdicts. A rate needs the noise: without it, only those could be judged that are rejected on
 * one side at least, and these are not a sample of all.
 */
export function countAudits(audits: readonly Audit[], pooled: PooledNoise): AuditCounts {
  const counts: Record<Verdict, number> = { agrees: 0, differs: 0, rejected: 0, open: 0 };
  let isKnown = true;
  for (const audit of audits) {
    const noise = pooled.without(audit.graph, audit.own.fitness);
    counts[verdictOf(audit, noise)]++;
    isKnown &&= noise !== null;
  }
  const wrong = counts.differs + counts.rejected;
  const judged = counts.agrees + wrong;
  return {
    audits: audits.length,
    ...counts,
    rate: isKnown && judged > 0 ? wrong / judged : null,
    interval: isKnown ? intervalOfShare(wrong, judged) : null,
  };
}
