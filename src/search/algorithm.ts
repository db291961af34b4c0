import type { RandomGenerator } from '../eval/random.ts';
import type { Genome } from '../graph/genome.ts';
import { chance } from './random.ts';
import { type Criterion, type Member, tournamentSize, tournamentWinner } from './select.ts';
import { mutate, randomGenome, type SearchSpace } from './space.ts';

/** Where a genome came from; a parent is the index of an earlier proposal of the same run. */
export type Origin =
  | { readonly kind: 'random' }
  | { readonly kind: 'mutation'; readonly parent: number }
  /** A known layer that the run starts with. */
  | { readonly kind: 'baseline'; readonly name: string };

export interface Proposal {
  readonly genome: Genome;
  readonly origin: Origin;
}

/** What the algorithms read of a run's configuration. */
export interface AlgorithmSettings extends SearchSpace {
  /** Probability of a fresh random genome. */
  readonly exploration: number;
  /** Share of the population that a tournament draws. */
  readonly tournament: number;
  readonly tournamentMinimum: number;
  readonly criterion: Criterion;
  /** While the population is smaller than this, proposals are random. */
  readonly founders: number;
}

type Algorithm = (
  population: readonly Member[],
  settings: AlgorithmSettings,
  rng: RandomGenerator,
) => Proposal;

const random: Algorithm = (_population, settings, rng) => ({
  genome: randomGenome(settings, rng),
  origin: { kind: 'random' },
});

const evolution: Algorithm = (population, settings, rng) => {
  // Drawn first and always, so that the stream does not depend on the population.
  const explores = chance(settings.exploration, rng);
  if (explores || population.length < settings.founders) return random(population, settings, rng);
  const size = tournamentSize(population.length, settings.tournament, settings.tournamentMinimum);
  const parent = tournamentWinner(population, size, settings.criterion, rng);
  return {
    genome: mutate(parent.genome, settings, rng),
    origin: { kind: 'mutation', parent: parent.index },
  };
};

/** The algorithms a run can choose from; random search is the control arm. */
export const ALGORITHMS = { evolution, random } as const satisfies Record<string, Algorithm>;
export type AlgorithmName = keyof typeof ALGORITHMS;
