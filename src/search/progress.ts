import type { Candidate, FunnelRow, Tier } from '../../db/candidates.ts';
import type { Settled } from '../../db/store.ts';
import { OUTCOME_NAMES, type OutcomeName } from '../eval/outcome.ts';
import type { Genome } from '../graph/genome.ts';

/** Where the proposals of a run ended; the outcomes add up to `proposals`. Baselines do not count. */
export interface FunnelCounts {
  readonly proposals: number;
  /** Every proposal by how it ended, whether by an evaluation of its own or by a cache hit. */
  readonly outcomes: Readonly<Record<OutcomeName, number>>;
  /** Proposals whose evaluation was spared, by the key that recognised them. */
  readonly cacheHits: Readonly<Record<Tier, number>>;
  /** Proposals that were trained to the end, cache hits not counted. */
  readonly evaluated: number;
}

const nothing = <Name extends string>(names: readonly Name[]) =>
  Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;

export function countFunnel(rows: readonly FunnelRow[]): FunnelCounts {
  const outcomes = nothing(OUTCOME_NAMES);
  const cacheHits = nothing<Tier>(['structural', 'functional']);
  let proposals = 0;
  let evaluated = 0;
  for (const { outcome, count, trained, structural, functional } of rows) {
    proposals += count;
    outcomes[outcome] += count;
    cacheHits.structural += structural;
    cacheHits.functional += functional;
    if (outcome === 'evaluated') evaluated += trained;
  }
  return { proposals, outcomes, cacheHits, evaluated };
}

function rowOf({ outcome, tier, functionalKey, evaluation }: Settled): FunnelRow {
  const isHit = functionalKey !== null && evaluation === null;
  return {
    outcome: outcome.outcome,
    count: 1,
    trained: evaluation === null ? 0 : 1,
    structural: isHit && tier === 'structural' ? 1 : 0,
    functional: isHit && tier === 'functional' ? 1 : 0,
  };
}

const addValues = <Name extends string>(a: Record<Name, number>, b: Record<Name, number>) =>
  Object.fromEntries((Object.keys(a) as Name[]).map((name) => [name, a[name] + b[name]])) as Record<
    Name,
    number
  >;

/** The counts after more proposals were committed. */
export function addToFunnel(counts: FunnelCounts, settled: readonly Settled[]): FunnelCounts {
  const more = countFunnel(settled.filter(({ index }) => index >= 0).map(rowOf));
  return {
    proposals: counts.proposals + more.proposals,
    outcomes: addValues(counts.outcomes, more.outcomes),
    cacheHits: addValues(counts.cacheHits, more.cacheHits),
    evaluated: counts.evaluated + more.evaluated,
  };
}

/** The best proposal so far. */
export interface Best {
  readonly index: number;
  readonly genome: Genome;
  readonly fitness: number;
}

/** The better one; the earlier one where both are as good. */
export const better = (
  best: Best | null,
  { index, genome, fitness }: Pick<Candidate, 'index' | 'genome' | 'fitness'>,
): Best | null =>
  index >= 0 && fitness !== null && (best === null || fitness > best.fitness)
    ? { index, genome, fitness }
    : best;
