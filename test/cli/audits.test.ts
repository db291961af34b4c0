import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fillNormal, type RandomGenerator, randomStream } from '../../src/eval/random.ts';
import {
  type Audit,
  countAudits,
  type Ending,
  PooledNoise,
  RARE,
  type Repeats,
  reachOf,
  verdictOf,
} from '../../src/reading/audits.ts';
import { speedUp, textbookSpeedUp } from '../../src/reading/speed-up.ts';
import { intervalOfShare } from '../../src/reading/statistics.ts';

const scored = (fitness: number): Ending => ({ outcome: 'evaluated', fitness });
const rejected = (outcome: Ending['outcome']): Ending => ({ outcome, fitness: null });

const audit = (taken: Ending, own: Ending, changes: Partial<Audit> = {}): Audit => ({
  ...{ graph: 'f', tier: 'functional', sameGraph: false, evaluations: 1 },
  ...{ taken, own, ...changes },
});

/** How likely each count is. */
function* binomial(n: number, p: number): Generator<number> {
  let mass = (1 - p) ** n;
  for (let k = 0; k <= n; k++) {
    yield mass;
    mass *= ((n - k) / (k + 1)) * (p / (1 - p));
  }
}

describe('the interval of a share', () => {
  test.each([
    // 1 − 0.025^(1/10); 0.025; and the interval of 5 of 10 in the tables.
    [0, 10, 0, 0.3084971],
    [10, 10, 0.6915029, 1],
    [1, 1, 0.025, 1],
    [5, 10, 0.187086, 0.812914],
  ])('of %d of %d reaches from %d to %d', (count, total, low, high) => {
    const interval = intervalOfShare(count, total)!;
    expect(interval[0]).toBeCloseTo(low, 6);
    expect(interval[1]).toBeCloseTo(high, 6);
  });

  test('of nothing is not known', () => {
    expect(intervalOfShare(0, 0)).toBeNull();
  });

  test.each([1, 7, 40, 200])('of %d covers the truth as often as it says, at least', (n) => {
    const intervals = Array.from({ length: n + 1 }, (_, k) => intervalOfShare(k, n)!);
    for (const p of [0.001, 0.01, 0.05, 0.2, 0.5, 0.83, 0.96]) {
      let covered = 0;
      for (const [k, mass] of [...binomial(n, p)].entries()) {
        const [low, high] = intervals[k]!;
        if (low <= p && p <= high) covered += mass;
      }
      expect(covered).toBeGreaterThanOrEqual(0.95 - 1e-9);
    }
  });

  test('misses the truth to either side in some samples', () => {
    const misses = (p: number) =>
      [...binomial(200, p)].reduce((sum, mass, k) => {
        const [low, high] = intervalOfShare(k, 200)!;
        return low <= p && p <= high ? sum : sum + mass;
      }, 0);
    expect(misses(0.5)).toBeGreaterThan(0.03);
  });
});

describe('the noise of repeated evaluations', () => {
  test('is pooled within graphs, not between them', () => {
    const pooled = new PooledNoise([
      { graph: 'a', fitnesses: [0.1, 0.3] },
      { graph: 'b', fitnesses: [0.7, 0.8, 0.9] },
      { graph: 'c', fitnesses: [0.5] },
      { graph: 'd', fitnesses: [0.4, 0.4, 0.4] },
    ]);
    // (0.02 + 0.02 + 0) / (1 + 2 + 2)
    expect(pooled.noise?.sigma).toBeCloseTo(Math.sqrt(0.04 / 5), 12);
    expect(pooled.noise?.degreesOfFreedom).toBe(5);
    expect([pooled.evaluations, pooled.graphs]).toEqual([8, 3]);
  });

  test('is not known from few evaluations', () => {
    const some = { graph: 'a', fitnesses: [0.1, 0.2, 0.3, 0.4] };
    const more = { graph: 'b', fitnesses: [0.5, 0.6, 0.7] };
    expect(new PooledNoise([some]).noise).toBeNull();
    const pooled = new PooledNoise([some, more]);
    expect(pooled.noise?.degreesOfFreedom).toBe(5);
    // One of them is judged by the others, which are too few.
    expect(pooled.without('a', 0.4)).toBeNull();
    expect(pooled.without('a', null)).toEqual(pooled.noise);
    expect(pooled.without('elsewhere', 0.4)).toEqual(pooled.noise);
  });

  test('without an evaluation is that of all others', () => {
    const fitness = fc.double({ min: 0, max: 1, noNaN: true });
    const group = fc.array(fitness, { minLength: 2, maxLength: 6 });
    fc.assert(
      fc.property(fc.array(group, { minLength: 6, maxLength: 9 }), fc.nat(), (all, choice) => {
        const groups = all.map((fitnesses, i) => ({ graph: `${i}`, fitnesses }));
        const { graph, fitnesses } = groups[choice % groups.length]!;
        const rest = groups.map((each) =>
          each.graph === graph ? { graph, fitnesses: fitnesses.slice(1) } : each,
        );
        const left = new PooledNoise(groups).without(graph, fitnesses[0]!);
        const expected = new PooledNoise(rest).noise;
        expect(left?.degreesOfFreedom).toBe(expected?.degreesOfFreedom);
        if (left && expected) expect(left.sigma ** 2).toBeCloseTo(expected.sigma ** 2, 10);
      }),
    );
  });

  test('reaches 3·√2·σ where σ is known, and further where it is not', () => {
    const reach = (degreesOfFreedom: number, evaluations = 1) =>
      reachOf({ sigma: 0.01, degreesOfFreedom }, evaluations);
    expect(reach(1e6)).toBeCloseTo(0.03 * Math.SQRT2, 5);
    // The quantile of t with 5 degrees of freedom at 0.99865 is 5.507.
    expect(reach(5)).toBeCloseTo(0.05507 * Math.SQRT2, 4);
    expect(reach(1e6, 4)).toBeCloseTo(0.03 * Math.sqrt(1.25), 5);
  });
});

describe('an audit', () => {
  const noise = { sigma: 0.01, degreesOfFreedom: 1000 };

  test.each([
    ['agrees', scored(0.5), scored(0.54)],
    ['differs', scored(0.5), scored(0.55)],
    ['differs', scored(0.55), scored(0.5)],
    ['rejected', scored(0.5), rejected('low-quality')],
    ['rejected', rejected('unstable'), scored(0.5)],
    ['agrees', rejected('unstable'), rejected('low-quality')],
    ['open', scored(0.5), rejected('timeout')],
    ['open', rejected('crashed'), rejected('low-quality')],
  ] as const)('%s: %j was taken over, %j found', (verdict, taken, own) => {
    expect(verdictOf(audit(taken, own), noise)).toBe(verdict);
  });

  test('of a mean of many evaluations is judged more strictly', () => {
    const close = audit(scored(0.5), scored(0.54), { evaluations: 100 });
    expect(verdictOf(close, noise)).toBe('differs');
  });

  test('cannot be judged without the noise, unless one side was rejected', () => {
    expect(verdictOf(audit(scored(0.1), scored(0.9)), null)).toBe('open');
    expect(verdictOf(audit(scored(0.1), rejected('diverged')), null)).toBe('rejected');
    const counts = countAudits(
      [audit(scored(0.1), scored(0.9)), audit(scored(0.1), rejected('diverged'))],
      new PooledNoise([]),
    );
    expect(counts).toEqual({
      ...{ audits: 2, agrees: 0, differs: 0, rejected: 1, open: 1 },
      ...{ rate: null, interval: null },
    });
  });
});

/** Normal values of mean 0. */
function* normals(sigma: number, rng: RandomGenerator): Generator<number, never> {
  const drawn = new Float32Array(1024);
  for (;;) {
    fillNormal(drawn, sigma, rng);
    yield* drawn;
  }
}

/** Evaluations of functions whose true fitness is uniform, with normal noise. */
class Simulation {
  readonly #sigma: number;
  readonly #noise: Generator<number, never>;

  constructor(sigma: number, seed: number) {
    this.#sigma = sigma;
    this.#noise = normals(1, randomStream('simulation', seed));
  }

  evaluate(fitness: number): number {
    return fitness + this.#sigma * this.#noise.next().value;
  }

  /** Graphs of which `size` evaluations are known. */
  groups(count: number, size: number): Repeats[] {
    return Array.from({ length: count }, (_, i) => {
      const truth = 0.3 + (0.5 * i) / count;
      const fitnesses = Array.from({ length: size }, () => this.evaluate(truth));
      return { graph: `graph ${i}`, fitnesses };
    });
  }

  /** An audit of a hit whose own graph is better by `difference`. */
  audit(difference: number, evaluations = 1): Audit {
    const own = scored(this.evaluate(0.5 + difference));
    let sum = 0;
    for (let i = 0; i < evaluations; i++) sum += this.evaluate(0.5);
    return audit(scored(sum / evaluations), own, { evaluations });
  }
}

describe('against simulated truth', () => {
  // 30,000 audits; 81 ± 9 are further off than noise leaves them in 99.73 % of all cases.
  test.each([
    [3, 'few', 6],
    [1, 'many', 100],
    [4, 'some', 30],
  ])(
    'hits with the score of %d that are right are found false as rarely as the limit says, with %s evaluations for σ',
    (evaluations, _, pairs) => {
      const simulation = new Simulation(0.02, pairs);
      let wrong = 0;
      for (let round = 0; round < 1500; round++) {
        const pooled = new PooledNoise(simulation.groups(pairs, 2));
        // One σ for several audits correlates them; with few pairs, one of them is all it is good for.
        const audits = Array.from({ length: 20 }, () => simulation.audit(0, evaluations));
        wrong += countAudits(audits, pooled).differs;
      }
      expect(wrong / 30_000).toBeGreaterThan(RARE / 2);
      expect(wrong / 30_000).toBeLessThan(2 * RARE);
    },
  );

  test.each([
    [20, 2],
    [30, 4],
  ])(
    'the control group is found to differ as rarely, though σ is made of it: %d graphs, %d evaluations each',
    (graphs, size) => {
      const simulation = new Simulation(0.02, graphs);
      let [wrong, judged] = [0, 0];
      while (judged < 30_000) {
        const groups = simulation.groups(graphs, size);
        const audits = groups.flatMap(({ graph, fitnesses: [taken, ...own] }) =>
          own.map((fitness) => audit(scored(taken!), scored(fitness), { graph, sameGraph: true })),
        );
        wrong += countAudits(audits, new PooledNoise(groups)).differs;
        judged += audits.length;
      }
      expect(wrong / judged).toBeGreaterThan(RARE / 2);
      expect(wrong / judged).toBeLessThan(2 * RARE);
    },
  );

  test('the false-hit rate is in its interval as often as it says, where some hits are false', () => {
    const simulation = new Simulation(0.01, 4);
    const pooled = new PooledNoise(simulation.groups(400, 2));
    const [rounds, share] = [600, 0.1];
    let covered = 0;
    for (let round = 0; round < rounds; round++) {
      const rng = randomStream('false', round);
      // A false hit is 20σ off, so that each is seen; the truth is the share, and the rare others.
      const audits = Array.from({ length: 80 }, () =>
        simulation.audit((rng.next() >>> 0) / 2 ** 32 < share ? 0.2 : 0),
      );
      const [low, high] = countAudits(audits, pooled).interval!;
      const truth = share + (1 - share) * RARE;
      if (low <= truth && truth <= high) covered++;
    }
    expect(covered / rounds).toBeGreaterThan(0.94);
    expect(covered / rounds).toBeLessThan(1);
  });
});

describe('the speed-up', () => {
  test('weighs what was spared against what it took', () => {
    expect(speedUp({ paid: 60, saved: 120, screening: 12 })).toBeCloseTo(2.5, 12);
    expect(speedUp({ paid: 0, saved: 90, screening: 3 })).toBe(30);
    expect(speedUp({ paid: 60, saved: 0, screening: 0 })).toBe(1);
    expect(speedUp({ paid: 0, saved: 0, screening: 0 })).toBeNull();
  });

  test('by the formula is the same where all evaluations cost the same', () => {
    // 30 proposals, 20 of them hits, 10 evaluations of 6 s, 0.4 s of screening each.
    expect(textbookSpeedUp(0.4, 6, 2 / 3)).toBeCloseTo(2.5, 12);
    expect(speedUp({ paid: 60, saved: 120, screening: 12 })).toBeCloseTo(2.5, 12);
    expect(textbookSpeedUp(0.4, 0, 1)).toBeNull();
  });
});
