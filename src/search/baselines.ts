import { type Genome, type GenomeNode, genomeOf } from '../graph/genome.ts';
import { ZOO } from '../graph/zoo.ts';
import type { Origin, Proposal } from './algorithm.ts';
import type { SearchConfig } from './config.ts';

/** A dead node that mutation may bring to life. */
const FILLER: GenomeNode = { op: 'max', args: [0, 0] };

/** The same layer with dead nodes in front of the output, so that its offspring have room to grow. */
export function padded({ nodes }: Genome, size: number): Genome {
  const output = nodes.at(-1) as GenomeNode;
  const fillers = Array.from({ length: Math.max(0, size - nodes.length) }, () => FILLER);
  return { nodes: [...nodes.slice(0, -1), ...fillers, output] };
}

type Settings = Pick<SearchConfig, 'baselines' | 'warmStart' | 'genomeNodes'>;

/**
 * The known layers that a run begins with, each as a proposal: those to compare with, and those that found
 * the population. The last of them has index −1, so that the run's own proposals count from 0.
 */
export function baselineProposals({ baselines, warmStart, genomeNodes }: Settings): Proposal[] {
  return [...new Set([...baselines, ...warmStart])].map((name) => {
    const known = ZOO.find((layer) => layer.name === name);
    if (!known) throw new Error(`internal: ${name} is not in the zoo`);
    const genome = genomeOf(known.layer);
    return {
      genome: warmStart.includes(name) ? padded(genome, genomeNodes) : genome,
      origin: { kind: 'baseline', name },
    };
  });
}

/** True for candidates that can be parents: all but the baselines that are only there to compare with. */
export const canBeParent = (origin: Origin, { warmStart }: Pick<Settings, 'warmStart'>): boolean =>
  origin.kind !== 'baseline' || warmStart.includes(origin.name);
