import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Candidate } from '../../db/candidates.ts';
import { openStore } from '../../db/store.ts';
import { randomStream } from '../../src/eval/random.ts';
import { type Genome, isBatchIndependent, layerOf } from '../../src/graph/genome.ts';
import { probe, structuralKey } from '../../src/graph/keys.ts';
import { ALGORITHMS } from '../../src/search/algorithm.ts';
import { canBeParent } from '../../src/search/baselines.ts';
import { SYSTEM_CLOCK } from '../../src/search/clock.ts';
import type { SearchConfig } from '../../src/search/config.ts';
import { Identifier } from '../../src/search/identity.ts';
import { Proposer } from '../../src/search/propose.ts';
import { runSearch, type SearchEvent } from '../../src/search/run.ts';
import { memberOf } from '../../src/search/select.ts';
import { mutate, PRIMITIVES } from '../../src/search/space.ts';
import type { Job } from '../../workers/messages.ts';
import { beginRun, evaluated } from '../db/records.ts';
import { configOf, FakePool, fakeOutcome, searchIn, trajectory } from './fake.ts';

/** Most mutations of these genomes are neutral, and functions come back all the time. */
const evolving = (flags: object = {}) =>
  configOf({ exploration: 0.1, founders: 1, warmStart: ['BN-ReLU', 'DyT'], ...flags });

const only = (...names: string[]) => ({
  primitiveWeights: Object.fromEntries(
    PRIMITIVES.map(({ name }) => [name, names.includes(name) ? 1 : 0]),
  ),
});

/** What a genome is, told without the search. */
function keysOf(genome: Genome, { batchIndependent }: SearchConfig) {
  const layer = layerOf(genome);
  const result = probe(layer);
  const isWanted = !batchIndependent || isBatchIndependent(layer);
  return {
    structuralKey: structuralKey(layer),
    functionalKey: result.verdict === 'ok' && isWanted ? result.functionalKey : null,
  };
}
type Keys = ReturnType<typeof keysOf>;

const computeTheSame = (a: Keys, b: Keys): boolean =>
  a.structuralKey === b.structuralKey ||
  (a.functionalKey !== null && a.functionalKey === b.functionalKey);

const parentOf = ({ origin }: Pick<Candidate, 'origin'>, candidates: readonly Candidate[]) =>
  origin.kind === 'mutation' ? candidates.find(({ index }) => index === origin.parent) : undefined;

type Draw = { readonly genome: Genome; readonly again: 'neutral' | 'tabu' | null };

/** Every draw for proposal `i`, from nothing but the candidates before it; the last one is proposed. */
function* drawsOf(
  i: number,
  candidates: readonly Candidate[],
  config: SearchConfig,
): Generator<Draw> {
  const before = candidates.filter(({ index }) => index < i);
  const population = before
    .filter(({ index, origin }) => index <= i - config.lookahead && canBeParent(origin, config))
    .flatMap((candidate) => memberOf(candidate) ?? [])
    .slice(-config.population);
  const rng = randomStream('proposal', config.seed, i);
  for (let attempt = 0; ; attempt++) {
    let { genome, origin } = ALGORITHMS[config.algorithm](population, config, rng);
    const parent = parentOf({ origin }, candidates);
    for (let change = 0; parent && change < config.functionalChange; change++) {
      if (!computeTheSame(keysOf(genome, config), parent)) break;
      yield { genome, again: 'neutral' };
      genome = mutate(genome, config, rng);
    }
    const { functionalKey } = keysOf(genome, config);
    const isSame = (c: Candidate) => c.index >= 0 && c.functionalKey === functionalKey;
    const times = functionalKey === null ? 0 : before.filter(isSame).length;
    const { limit, attempts } = config.tabu;
    const again = limit > 0 && times >= limit && attempt < attempts ? 'tabu' : null;
    yield { genome, again };
    if (again === null) return;
  }
}

const CASES: readonly (readonly [string, object])[] = [
  ['functional change', { functionalChange: 3 }],
  ['a tabu list', { tabu: { limit: 2, attempts: 2 } }],
  ['both', { functionalChange: 2, tabu: { limit: 1, attempts: 3 } }],
  [
    'random search',
    { algorithm: 'random', genomeNodes: 2, functionalChange: 1, tabu: { limit: 1 } },
  ],
  [
    'few primitives',
    { ...only('max', 'neg', 'abs'), warmStart: [], functionalChange: 5, tabu: { limit: 3 } },
  ],
  ['batch independence', { batchIndependent: true, functionalChange: 4, tabu: { limit: 4 } }],
];

describe('proposals that are drawn again', () => {
  test.each(CASES)('are what the candidates before them say: %s', async (_, flags) => {
    const config = evolving({ ...flags, stop: { proposals: 120 } });
    const { store, summary, candidates } = await searchIn({ config, pool: new FakePool(3, 'x') });
    const redraws = { neutral: 0, tabu: 0 };
    for (const { index, genome } of candidates.filter((c) => c.index >= 0)) {
      const draws = [...drawsOf(index, candidates, config)];
      expect(genome).toEqual(draws.at(-1)?.genome);
      for (const { again } of draws) if (again !== null) redraws[again]++;
    }
    expect(redraws.neutral + redraws.tabu).toBeGreaterThan(10);
    expect(store.sessions.ofRun(summary.runId)).toMatchObject([redraws]);
  });

  test.each(CASES)('do not depend on the workers: %s', async (_, flags) => {
    const config = evolving(flags);
    const reference = await searchIn({ config, pool: new FakePool(1) });
    for (const workers of [2, 5]) {
      const { candidates } = await searchIn({ config, pool: new FakePool(workers, workers) });
      expect(candidates).toEqual(reference.candidates);
    }
  });

  test('go on unchanged after a run was stopped at any commit', async () => {
    const settings = fc.record({
      lookahead: fc.integer({ min: 1, max: 40 }),
      functionalChange: fc.integer({ min: 0, max: 8 }),
      tabu: fc.record({
        limit: fc.integer({ min: 0, max: 4 }),
        attempts: fc.integer({ min: 1, max: 5 }),
      }),
      batchIndependent: fc.boolean(),
      cache: fc.record({
        by: fc.constantFrom('nothing', 'structure', 'function'),
        evaluations: fc.integer({ min: 1, max: 3 }),
      }),
    });
    const sessions = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(settings, sessions, async (flags, commits) => {
        const config = evolving({ ...flags, stop: { proposals: 100 } });
        const reference = await searchIn({ config });
        expect(await inSessions(config, commits)).toEqual(reference.candidates);
      }),
      { numRuns: 8 },
    );
  });

  test('do not depend on results inside the lookahead', async () => {
    const config = evolving({
      ...{ lookahead: 20, stop: { proposals: 100 } },
      ...{ functionalChange: 3, tabu: { limit: 2 } },
    });
    const reference = await searchIn({ config });
    const from = 50;
    const early = new Set(
      reference.candidates.filter(({ index }) => index < from).map((c) => JSON.stringify(c.genome)),
    );
    const other = (job: Job) =>
      early.has(JSON.stringify(job.genome))
        ? fakeOutcome(job)
        : ({ outcome: 'diverged', anchor: 'mini-wide', step: 1 } as const);
    const { candidates } = await searchIn({ config, pool: new FakePool(2, 0, other) });
    const genomes = (all: readonly Candidate[], end: number) =>
      all.filter(({ index }) => index < end).map(({ genome }) => genome);
    const seen = from + config.lookahead;
    expect(genomes(candidates, seen)).toEqual(genomes(reference.candidates, seen));
    expect(genomes(candidates, 100)).not.toEqual(genomes(reference.candidates, 100));
  });

  test('are none of the known layers that a run begins with', async () => {
    const zoo = { baselines: ['ReLU', 'SiLU'], warmStart: ['BN-ReLU', 'ReLU'] };
    const known = async (flags: object) => {
      const { candidates } = await searchIn({ config: evolving({ ...zoo, ...flags }) });
      return candidates.filter(({ index }) => index < 0);
    };
    expect(await known({ functionalChange: 9, tabu: { limit: 1 } })).toEqual(await known({}));
  });
});

/** The candidates of a run that is stopped after so many commits, again and again, and then finished. */
async function inSessions(config: SearchConfig, sessions: readonly number[]): Promise<Candidate[]> {
  const store = openStore(':memory:');
  let runId: number | undefined;
  for (const commits of [...sessions, Number.POSITIVE_INFINITY]) {
    const controller = new AbortController();
    let rest = commits;
    const onEvent = ({ type }: SearchEvent) => {
      if (type === 'committed' && --rest <= 0) controller.abort();
    };
    const pool = new FakePool(3, commits);
    const resumed = runId === undefined ? {} : { runId };
    const { signal } = controller;
    const summary = await runSearch({ config, store, pool, signal, onEvent, ...resumed });
    runId = summary.runId;
    if (summary.stopped === 'finished') break;
  }
  return trajectory(store, runId as number);
}

describe('functional change', () => {
  test('leaves no child that computes what its parent does', async () => {
    for (const flags of [{}, { batchIndependent: true }]) {
      const neutral = async (functionalChange: number) => {
        const config = evolving({ ...flags, functionalChange });
        const { candidates } = await searchIn({ config });
        const families = candidates.flatMap((child) => {
          const parent = parentOf(child, candidates);
          return parent ? [{ child, parent }] : [];
        });
        expect(families.length).toBeGreaterThan(60);
        const ofGenome = ({ genome }: Candidate) =>
          keysOf(genome, { ...config, batchIndependent: false });
        return families.filter(({ child, parent }) =>
          computeTheSame(ofGenome(child), ofGenome(parent)),
        ).length;
      };
      expect(await neutral(0)).toBeGreaterThan(30);
      expect(await neutral(1000)).toBe(0);
    }
  });

  test('sees through a structure that is new', () => {
    // max(x, −x) is |x|, but no rule of the simplifier says so.
    const genome: Genome = {
      nodes: [
        { op: 'neg', args: [0] },
        { op: 'max', args: [0, 4] },
      ],
    };
    const hidden = (functionalChange: number) => {
      const config = evolving({ ...only('max', 'neg', 'abs'), exploration: 0, functionalChange });
      const keys = keysOf(genome, config);
      const parent = memberOf({ index: 0, genome, ...keys, outcome: evaluated(0.5) });
      const { proposer } = proposerOf(config);
      const children = Array.from(
        { length: 200 },
        (_, i) => proposer.propose(100 + i, [parent!], NOTHING).identity,
      );
      return children.filter(
        ({ structuralKey, functionalKey }) =>
          structuralKey !== keys.structuralKey && functionalKey === keys.functionalKey,
      ).length;
    };
    expect(hidden(0)).toBeGreaterThan(5);
    expect(hidden(1000)).toBe(0);
  });

  test('gives up in time where nothing else can come out, and says how often it tried', () => {
    const genome: Genome = { nodes: [{ op: 'abs', args: [0] }] };
    const config = evolving({ ...only('abs'), exploration: 0, functionalChange: 7 });
    const parent = memberOf({
      ...{ index: 0, genome, ...keysOf(genome, config), outcome: evaluated(0.5) },
    });
    const { proposer, identifier } = proposerOf(config);
    // abs(x), abs(0), abs(v0) and abs(v1): the last three are constant.
    for (let i = 0; i < 50; i++) proposer.propose(100 + i, [parent!], NOTHING);
    expect(proposer.redraws.neutral).toBeGreaterThan(5);
    expect(identifier.cost.probes).toBe(50 + proposer.redraws.neutral);
    expect(proposer.redraws.tabu).toBe(0);
  });
});

const NOTHING = { knownStructure: () => null, timesProposed: () => 0 };

function proposerOf(config: SearchConfig) {
  const store = openStore(':memory:');
  const run = beginRun(store);
  const identifier = new Identifier({ store, run, clock: SYSTEM_CLOCK, config });
  return { proposer: new Proposer({ store, run, config, identifier }), identifier };
}

describe('the tabu list', () => {
  test.each([1, 3])(
    'lets a function pass %i times, unless the attempts are used up',
    async (limit) => {
      const timesOf = async (tabu: object) => {
        const config = evolving({ tabu, stop: { proposals: 200 } });
        const { candidates } = await searchIn({ config });
        const times = new Map<string, number>();
        for (const { index, genome } of candidates) {
          const { functionalKey } = keysOf(genome, config);
          if (index < 0 || functionalKey === null) continue;
          times.set(functionalKey, (times.get(functionalKey) ?? 0) + 1);
        }
        return Math.max(...times.values());
      };
      expect(await timesOf({ limit: 0 })).toBeGreaterThan(10);
      expect(await timesOf({ limit, attempts: 1000 })).toBe(limit);
      expect(await timesOf({ limit, attempts: 1 })).toBeGreaterThan(limit);
    },
  );

  test('does not count the known layers that a run begins with', async () => {
    const space = { ...only('max'), genomeNodes: 1, algorithm: 'random', baselines: ['ReLU'] };
    // With the lookahead the known layer is in flight while the first proposals are made.
    const config = evolving({ ...space, warmStart: [], lookahead: 50, tabu: { limit: 1 } });
    const { candidates } = await searchIn({ config });
    const [known, ...proposals] = candidates;
    expect(known).toMatchObject({ index: -1, origin: { kind: 'baseline', name: 'ReLU' } });
    const again = proposals.filter((c) => c.functionalKey === known?.functionalKey);
    expect(again.slice(0, 1)).toMatchObject([{ origin: { kind: 'random' }, tier: 'structural' }]);
    expect(again[0]?.index).toBeLessThan(config.lookahead);
    expect(again).toHaveLength(1);
  });
});
