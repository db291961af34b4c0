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
    args: fc.tuple(fc.nat(), fc.nat()),
    index: fc.constantFrom(...indexSets),
  });
  return fc.array(draw, { minLength: minNodes, maxLength: maxNodes }).map((drawn) => ({
    nodes: drawn.map(({ op, args, index }, k): GenomeNode => {
      const earlier = args.slice(0, arityOf(op)).map((arg) => arg % (INITIAL_NODES.length + k));
      return isMoment(op) ? { op, args: earlier, index } : { op, args: earlier };
    }),
  }));
}
