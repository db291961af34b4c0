import { genomeOf } from '../graph/genome.ts';
import { ZOO } from '../graph/zoo.ts';
import type { Origin, Proposal } from './algorithm.ts';
import type { SearchConfig } from './config.ts';
import { padded, type SearchSpace } from './space.ts';

type Known = Pick<SearchConfig, 'baselines' | 'warmStart'>;

/**
 * The known layers that a run begins with, each as a proposal: those to compare with, and those that found
 * the population. The last of them has index −1, so that the run's own proposals count from 0.
 */
export function baselineProposals(settings: Known & SearchSpace): Proposal[] {
  const { baselines, warmStart } = settings;
  return [...new Set([...baselines, ...warmStart])].map((name) => {
    const known = ZOO.find((layer) => layer.name === name);
    if (!known) throw new Error(`internal: ${name} is not in the zoo`);
    const genome = genomeOf(known.layer);
    return {
      genome: warmStart.includes(name) ? padded(genome, settings) : genome,
      origin: { kind: 'baseline', name },
    };
  });
}

/** True for candidates that can be parents: all but the baselines that are only there to compare with. */
export const canBeParent = (origin: Origin, { warmStart }: Pick<Known, 'warmStart'>): boolean =>
  origin.kind !== 'baseline' || warmStart.includes(origin.name);
