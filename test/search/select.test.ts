import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { randomStream } from '../../src/eval/random.ts';
import { chance, sample } from '../../src/search/random.ts';
import {
  dominates,
  type Member,
  paretoFront,
  populationAt,
  tournamentSize,
  tournamentWinner,
} from '../../src/search/select.ts';

const member = (index: number, accuracies: readonly number[]): Member => ({
  index,
  genome: { nodes: [] },
  ...{ structuralKey: `s${index}`, functionalKey: `f${index}` },
  accuracies,
  fitness: accuracies.reduce((a, b) => a + b, 0) / accuracies.length,
});

/** Few distinct accuracies, so that ties are common. */
const accuracy = fc.integer({ min: 0, max: 4 }).map((n) => n / 4);
const members = (minLength = 1) =>
  fc
    .array(fc.tuple(accuracy, accuracy), { minLength, maxLength: 12 })
    .map((all) => all.map((accuracies, i) => member(2 * i, accuracies)));

describe('the Pareto front', () => {
  test('is what nobody beats on one anchor without losing on the other', () => {
    fc.assert(
      fc.property(members(), (all) => {
        const unbeaten = all.filter(({ accuracies: [a = 0, b = 0] }) =>
          all.every(({ accuracies: [c = 0, d = 0] }) => !(c >= a && d >= b && (c > a || d > b))),
        );
        expect(paretoFront(all)).toEqual(unbeaten);
        expect(unbeaten.length).toBeGreaterThan(0);
      }),
    );
  });

  test('keeps equals', () => {
    const twins = [member(0, [0.5, 0.5]), member(1, [0.5, 0.5])];
    expect(paretoFront(twins)).toEqual(twins);
    expect(dominates(twins[0]!, twins[1]!)).toBe(false);
  });
});

describe('a tournament', () => {
  test('among all is won by the best on average, or by any of the front, and by nobody else', () => {
    fc.assert(
      fc.property(members(), fc.integer(), (all, seed) => {
        const rng = randomStream('tournament', seed);
        const top = Math.max(...all.map(({ fitness }) => fitness));
        const average = tournamentWinner(all, all.length, 'average', rng);
        expect(average.fitness).toBe(top);
        expect(paretoFront(all)).toContain(tournamentWinner(all, all.length, 'pareto', rng));
      }),
    );
  });

  test('gives every member of the front a chance', () => {
    const front = [member(0, [0, 1]), member(1, [0.5, 0.5]), member(2, [1, 0])];
    const rng = randomStream('front', 0);
    const winners = Array.from({ length: 100 }, () =>
      tournamentWinner([...front, member(3, [0, 0])], 4, 'pareto', rng),
    );
    expect(new Set(winners)).toEqual(new Set(front));
  });

  test('draws its share of the population, but enough to select among few', () => {
    expect(tournamentSize(2500, 0.05, 2)).toBe(125);
    expect(tournamentSize(10, 0.05, 2)).toBe(2);
    expect(tournamentSize(1, 0.05, 2)).toBe(1);
    expect(tournamentSize(10, 1, 2)).toBe(10);
  });
});

describe('the population of a proposal', () => {
  test('is the youngest of those that the lookahead lets it see', () => {
    fc.assert(
      fc.property(
        members(0),
        fc.integer({ min: 0, max: 30 }),
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: 1, max: 5 }),
        (all, index, lookahead, window) => {
          const visible = all.filter((m) => m.index + lookahead <= index).reverse();
          expect(populationAt(index, all, { lookahead, window })).toEqual(
            visible.filter((_, age) => age < window).reverse(),
          );
        },
      ),
    );
  });
});

describe('random helpers', () => {
  test('a sample has no repetitions and every subset is as likely', () => {
    const rng = randomStream('sample', 0);
    const counts = new Map<string, number>();
    for (let i = 0; i < 6000; i++) {
      const key = sample(['a', 'b', 'c', 'd'], 2, rng).sort().join('');
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual(['ab', 'ac', 'ad', 'bc', 'bd', 'cd']);
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(120);
    expect(sample([1, 2, 3], 9, rng).sort()).toEqual([1, 2, 3]);
  });

  test('a chance of 0 never comes, one of 1 always', () => {
    const rng = randomStream('chance', 0);
    for (let i = 0; i < 1000; i++) {
      expect(chance(0, rng)).toBe(false);
      expect(chance(1, rng)).toBe(true);
    }
  });
});
