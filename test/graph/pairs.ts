import { randomStream } from '../../src/eval/random.ts';
import { type Genome, type GenomeNode, genomeOf, liveGraph } from '../../src/graph/genome.ts';
import { GraphBuilder, type LayerGraph, transplant, type Value } from '../../src/graph/graph.ts';
import { probe } from '../../src/graph/keys.ts';
import { formatLayer } from '../../src/graph/text.ts';
import { ZOO } from '../../src/graph/zoo.ts';
import { mutate, randomGenome } from '../../src/search/space.ts';
import { type Choose, KINDS, respell, respellAs } from './spellings.ts';

const SPACE = { genomeNodes: 10, primitiveWeights: {} };
const INITIAL = 4;

/** The key, or the verdict where there is none. */
export function keyOf(layer: LayerGraph): string {
  const result = probe(layer);
  return result.verdict === 'ok' ? result.functionalKey : result.verdict;
}

/** A genome as a search has it that the probe takes for a layer: random, or known and mutated a few times. */
export function drawGenome(label: string, pair: number): { genome: Genome; choose: Choose } {
  for (let draw = 0; ; draw++) {
    const rng = randomStream(label, pair, draw);
    const known = ZOO[pair % ZOO.length]!;
    let genome = pair % 2 === 0 ? randomGenome(SPACE, rng) : genomeOf(known.layer);
    for (let k = pair % 2 === 0 ? 0 : 1 + (pair % 4); k > 0; k--)
      genome = mutate(genome, SPACE, rng);
    if (probe(liveGraph(genome)).verdict !== 'ok') continue;
    return { genome, choose: (n) => Math.floor(((rng.next() >>> 0) / 2 ** 32) * n) };
  }
}

type Rewriting = (genome: Genome, choose: Choose) => Genome;

/** Every node of `genome` where `place` puts it among the new nodes, whose arguments follow. */
function moved(genome: Genome, order: readonly number[], before: readonly GenomeNode[]): Genome {
  const position = new Map(order.map((old, at) => [old + INITIAL, at + INITIAL + before.length]));
  const nodes = order.map((old) => {
    const node = genome.nodes[old]!;
    return { ...node, args: node.args.map((arg) => position.get(arg) ?? arg) };
  });
  return { nodes: [...before, ...nodes] };
}

/** Live nodes in any order in which arguments come first; the output stays last. */
function permuted(original: Genome, choose: Choose): Genome {
  const genome = genomeOf(liveGraph(original));
  const left = new Set(genome.nodes.keys());
  const order: number[] = [];
  while (left.size > 0) {
    const ready = [...left].filter((k) =>
      genome.nodes[k]!.args.every((arg) => arg < INITIAL || !left.has(arg - INITIAL)),
    );
    const next = ready[choose(ready.length)]!;
    left.delete(next);
    order.push(next);
  }
  return moved(genome, order, []);
}

/** Every node twice, and every argument either of the two. */
function duplicated(genome: Genome, choose: Choose): Genome {
  const either = (arg: number) => (arg < INITIAL ? arg : INITIAL + 2 * (arg - INITIAL) + choose(2));
  return {
    nodes: genome.nodes.flatMap((node) =>
      [0, 1].map(() => ({ ...node, args: node.args.map(either) })),
    ),
  };
}

/** Another random genome in front that nothing reads, and one node behind each that reads it. */
function cluttered(genome: Genome, choose: Choose): Genome {
  const rng = randomStream('clutter', choose(2 ** 30));
  const dead = randomGenome(SPACE, rng).nodes;
  return moved(genome, [...genome.nodes.keys()], dead);
}

const ofLayers =
  (rewrite: (layer: LayerGraph, choose: Choose) => LayerGraph): Rewriting =>
  (genome, choose) =>
    genomeOf(rewrite(liveGraph(genome), choose));

/** Ways to write a genome anew so that it computes the same. */
export const REWRITINGS: ReadonlyMap<string, Rewriting> = new Map<string, Rewriting>([
  ...KINDS.map((kind): [string, Rewriting] => [
    kind,
    ofLayers((layer, choose) => respellAs(layer, kind, choose)),
  ]),
  ['nodes permuted', permuted],
  ['subexpressions duplicated', duplicated],
  ['dead nodes', cluttered],
  [
    'all of it',
    (genome, choose) => {
      const layer = respell(respell(liveGraph(genome), choose), choose);
      return cluttered(duplicated(permuted(genomeOf(layer), choose), choose), choose);
    },
  ],
]);

const spelling = (genome: Genome) => JSON.stringify(genome.nodes);

/** Pair number `i`: two spellings of one function that differ, as genomes, by the rewriting whose turn it is. */
export function equalPair(i: number): { kind: string; a: LayerGraph; b: LayerGraph } {
  const kinds = [...REWRITINGS.keys()];
  const kind = kinds[i % kinds.length]!;
  const rewrite = REWRITINGS.get(kind)!;
  for (let attempt = 0; ; attempt++) {
    const { genome, choose } = drawGenome(`${kind} ${i}`, attempt);
    for (let retry = 0; retry < 4; retry++) {
      const other = rewrite(genome, choose);
      if (spelling(genomeOf(liveGraph(genome))) !== spelling(other))
        return { kind, a: liveGraph(genome), b: liveGraph(other) };
    }
  }
}

/** max(a, b − c) or so for a growing c: `b` shows only where it is far above `a`. */
function narrowed(layer: LayerGraph, choose: Choose): LayerGraph {
  const builder = new GraphBuilder();
  const out = transplant(layer, builder)[layer.outputs.out]!;
  const unary = (op: 'exp' | 'square', a: Value) => builder.elementwise(op, a);
  const one = unary('exp', builder.input('zero'));
  const e = unary('exp', one);
  const heights = [one, e, e.add(one), e.add(e), unary('square', e), unary('exp', e)];
  const other = [builder.input('x'), builder.input('x').neg(), out.neg(), out.add(out)][choose(4)]!;
  const height = heights[choose(heights.length)]!;
  return builder.build({ out: builder.elementwise('max', out, other.sub(height)) });
}

/** Pair number `i`: two layers that the search would take for different by their form; most of them are. */
export function unequalPair(i: number): { kind: string; a: LayerGraph; b: LayerGraph } {
  for (let attempt = 0; ; attempt++) {
    const { genome, choose } = drawGenome(`unequal ${i}`, attempt);
    const a = liveGraph(genome);
    const kind = ['mutated', 'narrow'][i % 2]!;
    const b =
      kind === 'narrow'
        ? narrowed(a, choose)
        : liveGraph(mutate(genome, SPACE, randomStream('unequal', i, attempt)));
    if (formatLayer(a) !== formatLayer(b)) return { kind, a, b };
  }
}
