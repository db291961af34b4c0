import type { Candidate } from '../../db/candidates.ts';
import type { Evaluated } from '../eval/outcome.ts';
import type { RandomGenerator } from '../eval/random.ts';
import type { Genome } from '../graph/genome.ts';
import { pick, sample } from './random.ts';

/** A candidate that was evaluated, as evolution sees it. */
export interface Member {
  /** The proposal's index in its run. */
  readonly index: number;
  readonly genome: Genome;
  readonly structuralKey: string;
  readonly functionalKey: string | null;
  /** Validation accuracy per anchor, in the protocol's order. */
  readonly accuracies: readonly number[];
  /** Mean of the accuracies. */
  readonly fitness: number;
}

/** The mean accuracy over the anchors. */
export const fitnessOf = ({ perAnchor }: Evaluated): number =>
  perAnchor.reduce((sum, { accuracy }) => sum + accuracy, 0) / perAnchor.length;

type Parent = Pick<Candidate, 'index' | 'genome' | 'structuralKey' | 'functionalKey' | 'outcome'>;

/** A candidate as a member of the population; null for one that was rejected. */
export const memberOf = (candidate: Parent): Member | null => {
  const { index, genome, structuralKey, functionalKey, outcome } = candidate;
  if (outcome.outcome !== 'evaluated') return null;
  const accuracies = outcome.perAnchor.map(({ accuracy }) => accuracy);
  const fitness = fitnessOf(outcome);
  return { index, genome, structuralKey, functionalKey, accuracies, fitness };
};

/** Who wins a tournament. */
export type Criterion = 'pareto' | 'average';

/**
 * The population that proposal `index` sees: of the members, which are in order of age, those that were
 * committed up to `lookahead` proposals before it, and of these the youngest `window`, however fit the
 * older ones were (aging).
 */
export function populationAt(
  index: number,
  members: readonly Member[],
  { lookahead, window }: { readonly lookahead: number; readonly window: number },
): readonly Member[] {
  const end = members.findLastIndex((member) => member.index <= index - lookahead) + 1;
  return members.slice(Math.max(0, end - window), end);
}

type Scored = Pick<Member, 'accuracies'>;

/** True where `a` is nowhere worse than `b` and somewhere better. */
export const dominates = (a: Scored, b: Scored): boolean =>
  a.accuracies.every((accuracy, i) => accuracy >= (b.accuracies[i] as number)) &&
  a.accuracies.some((accuracy, i) => accuracy > (b.accuracies[i] as number));

/** The members that no other one dominates. */
export const paretoFront = <M extends Scored>(members: readonly M[]): M[] =>
  members.filter((member) => !members.some((other) => dominates(other, member)));

/** The members with the best mean accuracy. */
const best = (members: readonly Member[]): Member[] => {
  const top = Math.max(...members.map((member) => member.fitness));
  return members.filter((member) => member.fitness === top);
};

const CONTENDERS: Record<Criterion, (members: readonly Member[]) => Member[]> = {
  pareto: paretoFront,
  average: best,
};

/** The size of a tournament: a share of the population, but at least `minimum`, or it selects nothing in a small one. */
export const tournamentSize = (population: number, share: number, minimum: number): number =>
  Math.min(population, Math.max(minimum, Math.round(share * population)));

/** A random one of those who win a tournament among `size` random members. */
export const tournamentWinner = (
  population: readonly Member[],
  size: number,
  criterion: Criterion,
  rng: RandomGenerator,
): Member => pick(CONTENDERS[criterion](sample(population, size, rng)), rng);
