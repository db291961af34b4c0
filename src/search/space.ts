import { below, type RandomGenerator } from '../eval/random.ts';
import { INDEX_SETS, type IndexSet } from '../graph/extent.ts';
import { type Genome, type GenomeNode, INITIAL_NODES } from '../graph/genome.ts';
import {
  ELEMENTWISE_NAMES,
  type ElementwiseName,
  elementwise,
  MOMENT_NAMES,
  type MomentName,
} from '../graph/ops.ts';
import { pickWeighted } from './random.ts';

/** What a node can compute: an element-wise op, or a moment over one index set. */
export type Primitive = { readonly name: string; readonly arity: 1 | 2 } & (
  | { readonly op: ElementwiseName }
  | { readonly op: MomentName; readonly index: IndexSet }
);

/** The 24 primitives of the paper: 12 element-wise ops, 3 moments over 4 index sets. */
export const PRIMITIVES: readonly Primitive[] = [
  ...ELEMENTWISE_NAMES.map((op) => ({ name: op, op, arity: elementwise[op].arity })),
  ...MOMENT_NAMES.flatMap((op) =>
    INDEX_SETS.map((index) => ({ name: `${op}[${index}]`, op, index, arity: 1 as const })),
  ),
];

/** Where genomes come from. */
export interface SearchSpace {
  /** Nodes of a genome besides the four initial ones. */
  readonly genomeNodes: number;
  /** How often each primitive is drawn, by its name; 1 where nothing is said, never where 0. */
  readonly primitiveWeights: Readonly<Record<string, number | undefined>>;
}

const weightIn =
  (space: SearchSpace) =>
  ({ name }: Primitive): number =>
    space.primitiveWeights[name] ?? 1;

/** A random primitive with random predecessors, for the node that stands behind `earlier` others. */
function randomNode(earlier: number, space: SearchSpace, rng: RandomGenerator): GenomeNode {
  const primitive = pickWeighted(PRIMITIVES, weightIn(space), rng);
  const args = Array.from({ length: primitive.arity }, () => below(earlier, rng));
  return 'index' in primitive
    ? { op: primitive.op, args, index: primitive.index }
    : { op: primitive.op, args };
}

/** Node by node: a random primitive, then random predecessors among the nodes before it. */
export const randomGenome = (space: SearchSpace, rng: RandomGenerator): Genome => ({
  nodes: Array.from({ length: space.genomeNodes }, (_, i) =>
    randomNode(INITIAL_NODES.length + i, space, rng),
  ),
});

/**
 * The mutation of EvoNorm (Liu et al. 2020, section 3.2) in its three steps: a random intermediate node gets
 * a random primitive and random predecessors among the nodes before it; its successors stay. A node that
 * does not reach the output is as likely as any other, and then the mutation is neutral.
 */
export function mutate(genome: Genome, space: SearchSpace, rng: RandomGenerator): Genome {
  const chosen = below(genome.nodes.length, rng);
  return {
    nodes: genome.nodes.map((node, i) =>
      i === chosen ? randomNode(INITIAL_NODES.length + i, space, rng) : node,
    ),
  };
}
