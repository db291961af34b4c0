import { describe, expect, test } from 'vitest';
import type { KnownStructure } from '../../db/candidates.ts';
import type { Run } from '../../db/runs.ts';
import { openStore } from '../../db/store.ts';
import { genomeOf, layerOf } from '../../src/graph/genome.ts';
import { probe, structuralKey } from '../../src/graph/keys.ts';
import { parseLayer } from '../../src/graph/text.ts';
import type { Proposal } from '../../src/search/algorithm.ts';
import { Identifier } from '../../src/search/identity.ts';
import { configOf, searchIn } from './fake.ts';

const NOTHING = { knownStructure: () => null };

const run = (changes: Partial<Run> = {}): Run => ({
  ...{ id: 1, started: '', config: {}, protocolKey: 'p', protocol: null, horizon: 0 },
  ...{ seconds: 0, stopped: null, proposals: 0, evaluated: 0, bestFitness: null, ...changes },
});

/** Every look at its clock takes a millisecond. */
function identifierOf({
  store = openStore(':memory:'),
  batchIndependent = false,
  mantissaBits = 20,
  of = {},
} = {}) {
  let now = 0;
  const clock = { now: () => now++ };
  const config = { batchIndependent, cache: { mantissaBits } };
  return new Identifier({ store, run: run(of), clock, config });
}

const random = (text: string): Proposal => ({
  genome: genomeOf(parseLayer(text)),
  origin: { kind: 'random' },
});

describe('an identifier', () => {
  test('probes what it does not know, and counts the probes and their time', () => {
    const identifier = identifierOf();
    const proposal = random('x * sigmoid(x)');
    const layer = layerOf(proposal.genome);
    const { functionalKey } = probe(layer) as { functionalKey: string };
    expect(identifier.cost).toEqual({ probes: 0, screening: 0 });
    expect(identifier.identify(proposal, NOTHING)).toEqual({
      ...proposal,
      identity: { structuralKey: structuralKey(layer), recognised: false, functionalKey },
    });
    expect(identifier.cost).toEqual({ probes: 1, screening: 0.002 });
  });

  test.each([
    ['v0 + v1', 'constant'],
    ['exp(exp(exp(exp(abs(x) + v1 + v1))))', 'not-finite'],
  ] as const)('names the flaw of %s: %s', (text, flaw) => {
    const { identity } = identifierOf().identify(random(text), NOTHING);
    expect(identity).toMatchObject({ recognised: false, functionalKey: null, flaw });
  });

  test('rejects what depends on the batch where that is asked for, without a probe', () => {
    const proposal = random('x / rms[bwh](x)');
    const baseline = { ...proposal, origin: { kind: 'baseline', name: 'A' } } as const;
    const identifier = identifierOf({ batchIndependent: true });
    const { identity } = identifier.identify(proposal, NOTHING);
    const flaw = 'batch-dependent';
    expect(identity).toMatchObject({ recognised: false, functionalKey: null, flaw });
    expect(identifier.cost).toEqual({ probes: 0, screening: 0.001 });
    expect(identifier.identify(baseline, NOTHING).identity.functionalKey).not.toBeNull();
    expect(identifierOf().identify(proposal, NOTHING).identity.functionalKey).not.toBeNull();
  });

  test('believes proposals in flight, without a probe', () => {
    const identifier = identifierOf();
    const identityBy = (entry: KnownStructure) =>
      identifier.identify(random('tanh(x)'), { knownStructure: () => entry }).identity;
    expect(identityBy({ functionalKey: 'f', outcome: 'evaluated' })).toMatchObject({
      ...{ recognised: true, functionalKey: 'f' },
    });
    expect(identityBy({ functionalKey: null, outcome: 'constant' })).toMatchObject({
      ...{ recognised: true, functionalKey: null, flaw: 'constant' },
    });
    const batchDependent = { functionalKey: null, outcome: 'batch-dependent' } as const;
    expect(() => identityBy(batchDependent)).toThrow(/^internal: /);
    expect(identifier.cost.probes).toBe(0);
  });

  test('knows what its run has committed, and other runs up to its horizon', async () => {
    const { store, summary, candidates } = await searchIn({ config: configOf() });
    const candidate = candidates.find((c) => c.functionalKey !== null)!;
    const { functionalKey } = candidate;
    const by = (of: Partial<Run>) =>
      identifierOf({ store, of }).identify(candidate, NOTHING).identity;
    const [id, all] = [summary.runId, candidates.length];
    expect(by({ id })).toMatchObject({ recognised: true, functionalKey });
    expect(by({ id: id + 1, horizon: all })).toMatchObject({ recognised: true, functionalKey });
    expect(by({ id: id + 1, horizon: 0 })).toMatchObject({ recognised: false, functionalKey });
  });

  test('never mixes keys of different precision', async () => {
    const coarse = configOf({ cache: { mantissaBits: 3 } });
    const { store, candidates } = await searchIn({ config: coarse });
    const { genome, functionalKey, origin } = candidates.find((c) => c.functionalKey !== null)!;
    const of = { id: 2, horizon: candidates.length };
    const by = (mantissaBits: number) =>
      identifierOf({ store, of, mantissaBits }).identify({ genome, origin }, NOTHING).identity;
    expect(by(3)).toMatchObject({ recognised: true, functionalKey });
    const fine = probe(layerOf(genome)) as { functionalKey: string };
    expect(by(20)).toMatchObject({ recognised: false, functionalKey: fine.functionalKey });
  });
});
