import { expect, test } from 'vitest';
import type { Candidate } from '../../../db/candidates.ts';
import { genomeOf, layerOf } from '../../../src/graph/genome.ts';
import { structuralKey } from '../../../src/graph/keys.ts';
import { parseLayer } from '../../../src/graph/text.ts';
import { collisionsAt, sampleFunctions } from '../../../src/search/study/collisions.ts';
import { falseHits, referenceKey } from '../../../src/search/study/false-hits.ts';

const space = { genomeNodes: 8, primitiveWeights: {} };
const pause = async () => {};

test('a sample has different structures and one layer for each function, the same every time', async () => {
  const sample = await sampleFunctions(60, space, pause);
  expect(sample).toEqual(await sampleFunctions(60, space, pause));
  expect(sample.structures).toBe(60);
  expect(sample.drawn).toBeGreaterThan(60);
  const { functions } = sample;
  expect(functions.length).toBeGreaterThan(20);
  expect(new Set(functions.map(referenceKey)).size).toBe(functions.length);
  expect(new Set(functions.map((genome) => structuralKey(layerOf(genome)))).size).toBe(
    functions.length,
  );
});

test('collisions count functions that share a key', async () => {
  const layers = ['x', 'x * 1', 'neg(x)', 'x * x', 'square(x)', 'tanh(x)'];
  const functions = layers.map((text) => genomeOf(parseLayer(text)));
  const sample = { drawn: 6, structures: 6, functions };
  expect(await collisionsAt(20, sample, pause)).toEqual({
    ...{ bits: 20, functions: 6, keys: 4, merged: 4, largest: 2 },
  });
});

test('it stops where it is told to', async () => {
  const stop = () => Promise.reject(new Error('enough'));
  await expect(sampleFunctions(60, space, stop)).rejects.toThrow('enough');
});

test('a hit is false where the evaluation that it took over was made for another function', () => {
  const candidate = (index: number, functionalKey: string, formula: string, isHit: boolean) => {
    const genome = genomeOf(parseLayer(formula));
    const structural = structuralKey(layerOf(genome));
    return {
      ...{ index, genome, structuralKey: structural, functionalKey, repeat: isHit ? null : 0 },
      ...{ origin: { kind: 'random' }, tier: isHit ? 'functional' : null, fitness: 0.5 },
      ...{ outcome: { outcome: 'evaluated', perAnchor: [] }, evaluations: 1 },
    } satisfies Candidate as Candidate;
  };
  const candidates = [
    candidate(-1, 'A', 'x', false),
    candidate(0, 'A', 'x * 1', true),
    candidate(1, 'A', 'tanh(x)', true),
    candidate(2, 'B', 'x * x', false),
    candidate(3, 'B', 'square(x)', true),
    // Evaluated anew, for another function than before.
    candidate(4, 'B', 'abs(x)', false),
    candidate(5, 'B', 'square(x)', true),
    candidate(6, 'B', 'max(x, neg(x))', true),
  ];
  expect(falseHits(candidates, 'function')).toBe(2);
  expect(falseHits(candidates, 'structure')).toBe(0);
});
