import fc from 'fast-check';
import { INDEX_SETS, type IndexSet } from '../../src/graph/extent.ts';
import { arityOf, type Genome, type GenomeNode, INITIAL_NODES } from '../../src/graph/genome.ts';
import { isMoment, OP_NAMES, type OpName } from '../../src/graph/ops.ts';

/** Random genomes: every op, index set and predecessor may occur; they shrink towards few nodes and early args. */
export function genomes({
  minNodes = 1,
  maxNodes = 10,
  ops = OP_NAMES,
  indexSets = INDEX_SETS,
}: {
  minNodes?: number;
  maxNodes?: number;
  ops?: readonly OpName[];
  indexSets?: readonly IndexSet[];
} = {}): fc.Arbitrary<Genome> {
  const draw = fc.record({
    op: fc.constantFrom(...ops),
    args: fc.array(fc.record({ node: fc.nat(), recent: fc.boolean() }), {
      minLength: 2,
      maxLength: 2,
    }),
    index: fc.constantFrom(...indexSets),
  });
  return fc.array(draw, { minLength: minNodes, maxLength: maxNodes }).map((drawn) => ({
    nodes: drawn.map(({ op, args, index }, k): GenomeNode => {
      const earlier = INITIAL_NODES.length + k;
      // Half of the arguments are among the last three nodes, or most nodes would be dead.
      const picked = args
        .slice(0, arityOf(op))
        .map(({ node, recent }) => (recent ? earlier - 1 - (node % 3) : node % earlier));
      return isMoment(op) ? { op, args: picked, index } : { op, args: picked };
    }),
  }));
}
