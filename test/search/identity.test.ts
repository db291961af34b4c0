import { describe, expect, test } from 'vitest';
import type { KnownStructure } from '../../db/candidates.ts';
import type { Run } from '../../db/runs.ts';
import { openStore } from '../../db/store.ts';
import { genomeOf } from '../../src/graph/genome.ts';
import { probe, structuralKey } from '../../src/graph/keys.ts';
import { parseLayer } from '../../src/graph/text.ts';
import { Identifier } from '../../src/search/identity.ts';
import { configOf, searchIn } from './fake.ts';

const NOTHING = { knownStructure: () => null };
/** Every look at this clock takes a millisecond. */
const ticking = () => {
  let now = 0;
  return { now: () => now++ };
};

const run = (changes: Partial<Run> = {}): Run => ({
  ...{ id: 1, started: '', config: {}, protocolKey: 'p', protocol: null, horizon: 0 },
  ...{ seconds: 0, stopped: null, proposals: 0, evaluated: 0, bestFitness: null, ...changes },
});

describe('an identifier', () => {
  test('probes what it does not know, and counts the probes and their time', () => {
    const identifier = new Identifier(openStore(':memory:'), run(), ticking());
    const layer = parseLayer('x * sigmoid(x)');
    const structure = identifier.structureOf(genomeOf(layer));
    expect(structure).toMatchObject({ structuralKey: structuralKey(layer) });
    expect(identifier.cost).toEqual({ probes: 0, seconds: 0.001 });
    const identity = identifier.identify(structure, NOTHING);
    const { functionalKey } = probe(layer) as { functionalKey: string };
    expect(identity).toEqual({ by: 'probe', functionalKey });
    expect(identifier.cost).toEqual({ probes: 1, seconds: 0.002 });
  });

  test.each([
    ['v0 + v1', 'constant'],
    ['exp(exp(exp(exp(abs(x) + v1 + v1))))', 'not-finite'],
  ] as const)('names the flaw of %s: %s', (text, flaw) => {
    const identifier = new Identifier(openStore(':memory:'), run(), ticking());
    const structure = identifier.structureOf(genomeOf(parseLayer(text)));
    expect(identifier.identify(structure, NOTHING)).toEqual({
      ...{ by: 'probe', functionalKey: null, flaw },
    });
  });

  test('believes proposals in flight, without a probe', () => {
    const identifier = new Identifier(openStore(':memory:'), run(), ticking());
    const structure = identifier.structureOf(genomeOf(parseLayer('tanh(x)')));
    const known = (entry: KnownStructure) => ({ knownStructure: () => entry });
    const asFunction = known({ functionalKey: 'f', outcome: 'evaluated' });
    const asConstant = known({ functionalKey: null, outcome: 'constant' });
    const asBatchDependent = known({ functionalKey: null, outcome: 'batch-dependent' });
    expect(identifier.identify(structure, asFunction)).toEqual({
      ...{ by: 'structure', functionalKey: 'f' },
    });
    expect(identifier.identify(structure, asConstant)).toEqual({
      ...{ by: 'structure', functionalKey: null, flaw: 'constant' },
    });
    expect(() => identifier.identify(structure, asBatchDependent)).toThrow(/^internal: /);
    expect(identifier.cost.probes).toBe(0);
  });

  test('knows what its run has committed, and other runs up to its horizon', async () => {
    const { store, summary, candidates } = await searchIn({ config: configOf() });
    const { genome, functionalKey } = candidates.find((c) => c.functionalKey !== null)!;
    const by = (changes: Partial<Run>) => {
      const identifier = new Identifier(store, run(changes), ticking());
      return identifier.identify(identifier.structureOf(genome), NOTHING);
    };
    const [id, all] = [summary.runId, candidates.length];
    expect(by({ id })).toEqual({ by: 'structure', functionalKey });
    expect(by({ id: id + 1, horizon: all })).toEqual({ by: 'structure', functionalKey });
    expect(by({ id: id + 1, horizon: 0 })).toEqual({ by: 'probe', functionalKey });
  });
});
