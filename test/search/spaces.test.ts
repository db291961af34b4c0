import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { randomStream } from '../../src/eval/random.ts';
import { INDEX_SETS } from '../../src/graph/extent.ts';
import {
  type Genome,
  genomeOf,
  INITIAL_NODES,
  isBatchIndependent,
  layerOf,
  verifyGenome,
} from '../../src/graph/genome.ts';
import { ELEMENTWISE_NAMES, isMoment, OP_NAMES } from '../../src/graph/ops.ts';
import { ZOO } from '../../src/graph/zoo.ts';
import { ALGORITHMS } from '../../src/search/algorithm.ts';
import { baselineProposals } from '../../src/search/baselines.ts';
import { mutate, PRIMITIVES, padded, primitivesOf, randomGenome } from '../../src/search/space.ts';
import { INITIAL_NAMES, PAPER, SPACES, type Space, strangerIn } from '../../src/search/spaces.ts';
import { configOf, searchIn } from './fake.ts';

/** Any space that a configuration may have. */
const spaces: fc.Arbitrary<Space> = fc
  .record({
    ops: fc.subarray([...OP_NAMES], { minLength: 1 }),
    indexSets: fc.subarray([...INDEX_SETS], { minLength: 1 }),
    initialNodes: fc.subarray([...INITIAL_NAMES]),
  })
  .map((space) => ({
    ...space,
    initialNodes: [...new Set(['x' as const, ...space.initialNodes])],
  }));

/** The rule itself, said once more: what of a genome is no part of the space. */
function strangers({ nodes }: Genome, { ops, indexSets, initialNodes }: Space): unknown[] {
  const allowed = initialNodes.map((name) => ['x', '0', 'v0', 'v1'].indexOf(name));
  return nodes.flatMap(({ op, index, args }) => [
    ...(ops.some((known) => known === op) ? [] : [op]),
    ...(index === undefined || indexSets.some((known) => known === index) ? [] : [index]),
    ...args.filter((arg) => arg < 4 && !allowed.includes(arg)),
  ]);
}

const activations = SPACES.activations!;
const genomesIn = (space: Space, count: number, genomeNodes = 10) =>
  Array.from({ length: count }, (_, i) =>
    randomGenome({ space, genomeNodes, primitiveWeights: {} }, randomStream('spaces', i)),
  );

/** χ² of counts against equal shares. */
function chiSquared(counts: readonly number[]): number {
  const expected = counts.reduce((a, b) => a + b, 0) / counts.length;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

describe('a space', () => {
  test('has the initial nodes of genomes, in their order', () => {
    expect(INITIAL_NAMES.map((name) => (name === '0' ? 'zero' : name))).toEqual(INITIAL_NODES);
  });

  test('is never left by what is drawn in it, mutated in it or begins in it', () => {
    fc.assert(
      fc.property(
        fc.record({ space: spaces, genomeNodes: fc.integer({ min: 1, max: 12 }) }),
        fc.integer({ min: 0, max: 2 ** 31 }),
        (settings, seed) => {
          const rng = randomStream('space', seed);
          const search = { ...settings, primitiveWeights: {} };
          let genome = randomGenome(search, rng);
          for (let step = 0; step < 15; step++) {
            verifyGenome(genome);
            expect(genome.nodes).toHaveLength(settings.genomeNodes);
            expect(strangers(genome, settings.space)).toEqual([]);
            expect(strangerIn(genome, settings.space)).toBeNull();
            genome = mutate(genome, search, rng);
          }
          for (const { layer } of ZOO) {
            const known = genomeOf(layer);
            const inside = strangers(known, settings.space).length === 0;
            expect(strangerIn(known, settings.space) === null).toBe(inside);
            if (inside) expect(strangers(padded(known, search), settings.space)).toEqual([]);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test('has all that is not left out: each of its primitives and initial nodes is drawn, as often as the others', () => {
    const space: Space = {
      ops: ['add', 'tanh', 'rms', 'std'],
      indexSets: ['wh', 'whc/g'],
      initialNodes: ['x', 'v1'],
    };
    const names = primitivesOf({ space }).map(({ name }) => name);
    expect(names).toEqual(['add', 'tanh', 'rms[wh]', 'rms[whc/g]', 'std[wh]', 'std[whc/g]']);
    const genomes = genomesIn(space, 3000, 3);
    const drawn = genomes.flatMap(({ nodes }) =>
      nodes.map(({ op, index }) => (index ? `${op}[${index}]` : op)),
    );
    // 5 degrees of freedom: beyond 20.5 with probability 0.001.
    expect(chiSquared(names.map((name) => drawn.filter((d) => d === name).length))).toBeLessThan(
      20.5,
    );
    // x, v1 and the two nodes before the last one; 3 degrees of freedom: beyond 16.3 with probability 0.001.
    const args = genomes.flatMap(({ nodes }) => nodes[2]!.args);
    const counts = [0, 3, 4, 5].map((id) => args.filter((arg) => arg === id).length);
    expect(counts.reduce((a, b) => a + b, 0)).toBe(args.length);
    expect(chiSquared(counts)).toBeLessThan(16.3);
  });

  test('keeps the weights of its primitives', () => {
    const search = {
      space: activations,
      genomeNodes: 10,
      primitiveWeights: { add: 0, mul: 5, 'mean[wh]': 9 },
    };
    const drawn = Array.from({ length: 400 }, (_, i) =>
      randomGenome(search, randomStream('weights', i)),
    ).flatMap(({ nodes }) => nodes.map(({ op }) => op));
    expect(drawn).not.toContain('add');
    expect(drawn.some(isMoment)).toBe(false);
    // Five of fifteen.
    expect(drawn.filter((op) => op === 'mul').length / drawn.length).toBeCloseTo(1 / 3, 1);
  });

  test('of the paper draws what was drawn before there were others', () => {
    const before = { genomeNodes: 10, primitiveWeights: {} };
    for (let seed = 0; seed < 50; seed++) {
      const draw = (search: Parameters<typeof randomGenome>[0]) => {
        const rng = randomStream('paper', seed);
        return mutate(randomGenome(search, rng), search, rng);
      };
      expect(draw({ ...before, space: PAPER })).toEqual(draw(before));
    }
    expect(primitivesOf({ space: PAPER })).toEqual(PRIMITIVES);
  });

  test('of activations has layers that normalize nothing', () => {
    expect(activations.ops).toEqual(ELEMENTWISE_NAMES);
    for (const genome of genomesIn(activations, 200)) {
      expect(genome.nodes.some(({ op }) => isMoment(op))).toBe(false);
      expect(isBatchIndependent(layerOf(genome))).toBe(true);
    }
  });
});

describe('a search in a space', () => {
  test('proposes nothing outside of it, but for the layers to compare with', async () => {
    const space = { name: 'activations', initialNodes: ['x', 'v1'] };
    const config = configOf({ space, baselines: ['BN-ReLU'], warmStart: ['DyT'] });
    const { candidates } = await searchIn({ config });
    expect(candidates.length).toBeGreaterThan(150);
    const outside = candidates.filter(({ genome }) => strangers(genome, config.space).length > 0);
    expect(outside.map(({ origin }) => origin)).toEqual([{ kind: 'baseline', name: 'BN-ReLU' }]);
    expect(candidates.some(({ origin }) => origin.kind === 'mutation')).toBe(true);
  });

  test('begins with warm-start layers whose dead nodes are inside of it', () => {
    const ops = ['tanh', 'mul', 'add'];
    const config = configOf({ space: { ops }, baselines: ['ReLU'], warmStart: ['DyT'] });
    const [relu, dyt] = baselineProposals(config);
    expect(strangers(relu!.genome, config.space)).toContain('max');
    expect(dyt!.genome.nodes).toHaveLength(10);
    expect(strangers(dyt!.genome, config.space)).toEqual([]);
    // Where there is max, it is what fills genomes, as it always was.
    const paper = baselineProposals(configOf({ warmStart: ['DyT'] })).at(-1)!;
    expect(paper.genome.nodes[3]).toEqual({ op: 'max', args: [0, 0] });
    expect(ALGORITHMS.random([], config, randomStream('a')).genome.nodes).toHaveLength(10);
  });
});
