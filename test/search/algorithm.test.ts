import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { randomStream } from '../../src/eval/random.ts';
import { ALGORITHMS, type AlgorithmSettings } from '../../src/search/algorithm.ts';
import { type Member, populationAt } from '../../src/search/select.ts';
import { unitOf } from './fake.ts';

const settings: AlgorithmSettings = {
  ...{ genomeNodes: 10, primitiveWeights: {}, exploration: 0.5, criterion: 'pareto' },
  ...{ tournament: 0.05, tournamentMinimum: 2, founders: 3 },
};

/** The algorithms do not look at keys. */
const KEYS = { structuralKey: '', functionalKey: '' };

const member = (index: number, genome: Member['genome']): Member => {
  const accuracies = ['a', 'b'].map((anchor) => unitOf(anchor + JSON.stringify(genome)));
  const fitness = (accuracies[0]! + accuracies[1]!) / 2;
  return { index, genome, ...KEYS, accuracies, fitness };
};

const evolve = (proposals: number, changes: Partial<AlgorithmSettings> = {}) => {
  const members: Member[] = [];
  const all = Array.from({ length: proposals }, (_, i) => {
    const population = populationAt(i, members, { lookahead: 4, window: 50 });
    const rng = randomStream('proposal', 1, i);
    const proposal = ALGORITHMS.evolution(population, { ...settings, ...changes }, rng);
    members.push(member(i, proposal.genome));
    return proposal;
  });
  return { all, members };
};

describe('evolution', () => {
  test('has a pinned trajectory', () => {
    const { all } = evolve(300);
    const digest = createHash('sha256').update(JSON.stringify(all)).digest('hex').slice(0, 16);
    const mutations = all.filter(({ origin }) => origin.kind === 'mutation').length;
    expect({ digest, mutations }).toMatchInlineSnapshot(`
      {
        "digest": "3c7b753f6380bb65",
        "mutations": 159,
      }
    `);
  });

  test('proposes at random until it has its founders', () => {
    const { all } = evolve(60, { exploration: 0, founders: 20 });
    const kinds = all.map(({ origin }) => origin.kind);
    // Proposal i sees the members up to i − 4.
    expect(kinds.slice(0, 23)).toEqual(Array(23).fill('random'));
    expect(kinds.slice(23)).toEqual(Array(37).fill('mutation'));
  });

  test('only explores where exploration is 1', () => {
    const { all } = evolve(50, { exploration: 1 });
    expect(all.every(({ origin }) => origin.kind === 'random')).toBe(true);
  });

  test('finds what random search does not, on a landscape that can be climbed', () => {
    const steep = { ...settings, exploration: 0.2, tournament: 0.2 };
    // Fitness: the share of nodes that are `tanh`.
    const climb = (algorithm: keyof typeof ALGORITHMS) => {
      const members: Member[] = [];
      for (let i = 0; i < 600; i++) {
        const population = populationAt(i, members, { lookahead: 8, window: 100 });
        const { genome } = ALGORITHMS[algorithm](population, steep, randomStream('climb', i));
        const fitness = genome.nodes.filter(({ op }) => op === 'tanh').length / 10;
        members.push({ index: i, genome, ...KEYS, accuracies: [fitness], fitness });
      }
      return Math.max(...members.map(({ fitness }) => fitness));
    };
    expect(climb('evolution')).toBeGreaterThan(climb('random') + 0.2);
  });
});
