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
import { INITIAL_NAMES, PAPER, type Space } from './spaces.ts';

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
  /** The paper's where nothing is said. */
  readonly space?: Space;
}

/** What nodes are drawn from. */
interface Choices {
  readonly primitives: readonly Primitive[];
  /** The initial nodes that may be arguments, by their number. */
  readonly initial: readonly number[];
}

const choices = new WeakMap<Space, Choices>();

function choicesOf(space: Space): Choices {
  let known = choices.get(space);
  if (!known) {
    known = {
      primitives: PRIMITIVES.filter(
        (primitive) =>
          space.ops.includes(primitive.op) &&
          (!('index' in primitive) || space.indexSets.includes(primitive.index)),
      ),
      initial: space.initialNodes.map((name) => INITIAL_NAMES.indexOf(name)),
    };
    choices.set(space, known);
  }
  return known;
}

/** The primitives of the space, those that are never drawn included. */
export const primitivesOf = ({ space = PAPER }: Pick<SearchSpace, 'space'>): readonly Primitive[] =>
  choicesOf(space).primitives;

const weightIn =
  (space: SearchSpace) =>
  ({ name }: Primitive): number =>
    space.primitiveWeights[name] ?? 1;

/** A random primitive with random predecessors, for intermediate node `k`, from 0. */
function randomNode(k: number, space: SearchSpace, rng: RandomGenerator): GenomeNode {
  const { primitives, initial } = choicesOf(space.space ?? PAPER);
  const primitive = pickWeighted(primitives, weightIn(space), rng);
  const args = Array.from({ length: primitive.arity }, () => {
    const drawn = below(initial.length + k, rng);
    return initial[drawn] ?? INITIAL_NODES.length + drawn - initial.length;
  });
  return nodeOf(primitive, args);
}

const nodeOf = (primitive: Primitive, args: readonly number[]): GenomeNode =>
  'index' in primitive
    ? { op: primitive.op, args, index: primitive.index }
    : { op: primitive.op, args };

/** Node by node: a random primitive, then random predecessors among the nodes before it. */
export const randomGenome = (space: SearchSpace, rng: RandomGenerator): Genome => ({
  nodes: Array.from({ length: space.genomeNodes }, (_, i) => randomNode(i, space, rng)),
});

/** The same layer with dead nodes in front of the output, so that its offspring have room to grow. */
export function padded({ nodes }: Genome, space: SearchSpace): Genome {
  const output = nodes.at(-1) as GenomeNode;
  const missing = Math.max(0, space.genomeNodes - nodes.length);
  const fillers = Array.from({ length: missing }, () => fillerOf(space));
  return { nodes: [...nodes.slice(0, -1), ...fillers, output] };
}

/** A dead node that mutation may bring to life: max(x, x), which is x, where the space has it. */
function fillerOf(space: SearchSpace): GenomeNode {
  const primitives = primitivesOf(space);
  const drawn = primitives.find((primitive) => weightIn(space)(primitive) > 0);
  const filler = primitives.find(({ op }) => op === 'max') ?? drawn;
  if (!filler) throw new Error('internal: a space without primitives');
  return nodeOf(
    filler,
    Array.from({ length: filler.arity }, () => 0),
  );
}

/**
 * The mutation of EvoNorm (Liu et al. 2020, section 3.2) in its three steps: a random intermediate node gets
 * a random primitive and random predecessors among the nodes before it; its successors stay. A node that
 * does not reach the output is as likely as any other, and then the mutation is neutral.
 */
export function mutate(genome: Genome, space: SearchSpace, rng: RandomGenerator): Genome {
  const chosen = below(genome.nodes.length, rng);
  return {
    nodes: genome.nodes.map((node, i) => (i === chosen ? randomNode(i, space, rng) : node)),
  };
}
