import type { LeaderboardRow } from '../../db/leaderboard.ts';
import { printable } from '../format.ts';
import { layerOf, verifyGenome } from '../graph/genome.ts';
import { formatLayer } from '../graph/text.ts';
import { zooNameOf } from '../graph/zoo.ts';
import { candidateId } from '../search/ids.ts';
import { type Interval, intervalOf, mean } from './statistics.ts';

/** An accuracy over repeated evaluations. */
export interface Estimate {
  readonly accuracy: number;
  /** Null after one evaluation, which does not tell its error. */
  readonly interval: Interval | null;
}

export interface Fitness {
  /** Over the anchors that count. */
  readonly mean: number;
  readonly interval: Interval | null;
  readonly perAnchor: readonly (Estimate & { readonly anchor: string })[];
}

/** One line of the leaderboard. */
export interface Entry {
  readonly rank: number;
  /** In the zoo. */
  readonly name: string | null;
  readonly id: string;
  readonly formula: string;
  readonly protocol: string;
  readonly fitness: Fitness;
  readonly evaluations: number;
  readonly nodes: number;
  readonly batchIndependent: boolean;
  readonly origin: string;
  /** True where `confirm` found it better than all known layers that it was compared with. */
  readonly confirmed: boolean;
}

/** Means and intervals of evaluations, each of which has one accuracy per anchor. */
export function fitnessOver(
  evaluations: readonly (readonly number[])[],
  anchors: readonly string[],
  places: readonly number[] = [...anchors.keys()],
): Fitness {
  const means = evaluations.map((accuracies) => mean(places.map((place) => accuracies[place]!)));
  const perAnchor = places.map((place) => {
    const accuracies = evaluations.map((evaluation) => evaluation[place]!);
    const estimate = { accuracy: mean(accuracies), interval: intervalOf(accuracies) };
    return { anchor: printable(anchors[place]!), ...estimate };
  });
  return { mean: mean(means), interval: intervalOf(means), perAnchor };
}

export function entryOf(
  row: LeaderboardRow,
  protocol: string,
  anchors: readonly string[],
  confirmed: ReadonlySet<string>,
  places?: readonly number[],
): Entry {
  const { rank, candidate, run, evaluations, nodes, batchIndependent, functionalKey } = row;
  const { index, origin, genome } = candidate;
  verifyGenome(genome);
  const known = zooNameOf(functionalKey) ?? row.baseline;
  const name = known === null ? null : printable(known);
  return {
    ...{ rank, name, id: index < 0 ? name! : candidateId({ run, index }) },
    formula: formatLayer(layerOf(genome)),
    protocol: printable(protocol),
    fitness: fitnessOver(evaluations, anchors, places),
    ...{ evaluations: evaluations.length, nodes, batchIndependent, origin: origin.kind },
    confirmed: confirmed.has(functionalKey),
  };
}
