import type { PastEvaluation } from '../../db/history.ts';
import type { Store } from '../../db/store.ts';
import { type AnchorScore, describeOutcome } from '../eval/outcome.ts';
import { printable } from '../format.ts';
import { type Fitness, fitnessOver } from './entries.ts';
import { nameOf } from './lineage.ts';
import { mean, variance } from './statistics.ts';

/** One evaluation, for people and as JSON. */
export interface EvaluationRecord {
  readonly protocol: string;
  readonly repeat: number;
  readonly at: string;
  /** The candidate that it was made for: an id, or the name of a known layer. */
  readonly madeFor: string;
  readonly outcome: string;
  readonly description: string;
  readonly perAnchor: readonly AnchorScore[];
}

export const recordOf = (past: PastEvaluation): EvaluationRecord => {
  const { protocolKey, repeat, at, run, index, baseline, outcome } = past;
  const origin = baseline === null ? { kind: 'random' as const } : baselineOrigin(baseline);
  return {
    ...{ protocol: printable(protocolKey), repeat, at: printable(at) },
    madeFor: nameOf(run, { index, origin }),
    ...{ outcome: outcome.outcome, description: printable(describeOutcome(outcome)) },
    perAnchor: outcome.outcome === 'evaluated' ? outcome.perAnchor : [],
  };
};

const baselineOrigin = (name: string) => ({ kind: 'baseline' as const, name });

/** The accuracies of every evaluation under a protocol that was not rejected, by repeat. */
export const accuraciesUnder = (past: readonly PastEvaluation[], protocolKey: string): number[][] =>
  past.flatMap((one) =>
    one.protocolKey === protocolKey && one.outcome.outcome === 'evaluated'
      ? [one.outcome.perAnchor.map(({ accuracy }) => accuracy)]
      : [],
  );

/** How a function fares under a protocol. */
export interface Score {
  readonly rank: number;
  readonly of: number;
  readonly evaluations: number;
  readonly fitness: Fitness;
}

/** Null where the function was not scored under the protocol. */
export function scoreOf(functionalKey: string, protocolKey: string, store: Store): Score | null {
  const standing = store.history
    .standings(functionalKey)
    .find((known) => known.protocolKey === protocolKey);
  if (!standing) return null;
  const evaluations = accuraciesUnder(store.history.ofFunction(functionalKey), protocolKey);
  const { rank, of } = standing;
  const fitness = fitnessOver(evaluations, store.leaderboard.anchors(protocolKey));
  return { rank, of, evaluations: evaluations.length, fitness };
}

/** How far one evaluation of a function lies from another one, only because of its seed. */
export interface Noise {
  /** Standard deviation of the fitness of one evaluation. */
  readonly deviation: number;
  /** How many functions with several evaluations tell it. */
  readonly functions: number;
}

/** Enough to know a deviation to a few percent. */
const FUNCTIONS = 200;

/** Pooled over functions that were evaluated more than once; null where there are none. */
export function noiseOf(protocolKey: string, { history }: Store): Noise | null {
  const groups = history.repeatedFitness(protocolKey, FUNCTIONS);
  if (groups.length === 0) return null;
  const degrees = groups.map(({ length }) => length - 1);
  const squares = groups.map((values, i) => variance(values) * degrees[i]!);
  return { deviation: Math.sqrt(mean(squares) / mean(degrees)), functions: groups.length };
}
