import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonical } from '../../src/graph/canonical.ts';
import { genomeOf, layerOf, liveGraph, verify } from '../../src/graph/genome.ts';
import { GraphBuilder, type LayerGraph, transplant } from '../../src/graph/graph.ts';
import { RULES, type Rule, simplify } from '../../src/graph/simplify.ts';
import { formatLayer, parseLayer } from '../../src/graph/text.ts';
import { genomes } from './arbitrary.ts';
import { compareLayers, overflows } from './equality.ts';
import { generic, SHAPE, stream, tied } from './inputs.ts';
import { respell } from './spellings.ts';

/** Formulas that each rule applies to; A and B stand for anything. */
const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  '-(-a) = a': ['--(A)'],
  'f(-a) = -f(a) for odd f: tanh, log, sqrt, mean': [
    'tanh(-(A))',
    'log(-(A))',
    'sqrt(-(A))',
    'mean[bwh](-(A))',
    'mean[whc/g](-(A))',
  ],
  'f(-a) = f(a) for even f: abs, square, rms, std': [
    'abs(-(A))',
    'square(-(A))',
    'rms[bwh](-(A))',
    'std[wh](-(A))',
  ],
  'f(|a|) = f(a): square, rms': ['square(abs(A))', 'rms[bwh](abs(A))', 'rms[whc](abs(A))'],
  '|a| = a for a ≥ 0 by its form': [
    'abs(square(A))',
    'abs(abs(A))',
    'abs(exp(A))',
    'abs(sigmoid(A))',
    'abs(rms[wh](A))',
    'abs(sqrt(abs(A)))',
  ],
  'a + 0 = a': ['(A) + 0', '0 + (A)'],
  '-a + -b = -(a + b)': ['-(A) - (B)'],
  '-(a - b) = b - a': ['-((A) - (B))', '-(-(A) + (B))'],
  'a · 1 = a': ['(A) * 1', '1 * (A)'],
  'a · a = a²': ['(A) * (A)'],
  'a · -b = -(a · b)': ['(A) * -(B)', '-(A) * (B)'],
  'a / 1 = a': ['(A) / 1'],
  '-a / b = -(a / b)': ['-(A) / (B)', '-(A) / 0'],
  'a / -b = -(a / b) for b a rms or std': ['(A) / -std[bwh](B)', '(A) / -rms[wh](B)'],
  'max(a, a) = a': ['max(A, A)'],
  'max(a, -a) = |a|': ['max(A, -(A))', 'max(-(A), A)'],
  'max(a, 0) = a for a ≥ 0 by its form': ['max(square(A), 0)', 'max(0, abs(A))'],
  'mean[I](a) = a where a does not vary over I': [
    'mean[wh](v0) * (A)',
    'mean[bwh](mean[bwh](A))',
    'mean[whc/g](mean[whc](A))',
    'mean[wh](0) + (A)',
  ],
  'f[I](a) = f[J](a) where I and J take the same axes off a': [
    'rms[bwh](v1) * (A)',
    'mean[whc/g](std[whc](v0)) + (A)',
    'std[bwh](rms[bwh](A))',
    'rms[whc](std[whc](A))',
  ],
  'mean[I](mean[J](a)) = mean[I](a) where I covers J': [
    'mean[bwh](mean[wh](A))',
    'mean[whc](mean[whc/g](A))',
    'mean[whc/g](mean[wh](A))',
  ],
  'std[I](a - mean[I](a)) = std[I](a)': [
    'std[bwh]((A) - mean[bwh](A))',
    'std[wh](-mean[wh](x) + x)',
  ],
  'rms[I](a - mean[I](a)) = std[I](a)': [
    'rms[bwh]((A) - mean[bwh](A))',
    'rms[whc]((A) - mean[whc](A))',
  ],
  'f(0, 1, …) = 0 or 1 where that is its value': [
    'tanh(0) + (A)',
    'max(0, 1) * (A)',
    'square(1) + (A)',
    '0 / 1 + (A)',
    'exp(0 * 1) + (A)',
  ],
};

const FILLINGS = [
  'x',
  'v0',
  'x + v0',
  'v1 * x',
  'tanh(x)',
  'max(x, 0)',
  'mean[wh](x)',
  'x / v0',
  '0',
];

/** One rule alone, wherever it applies. */
function applyOnly({ rewrite }: Rule, layer: LayerGraph): { layer: LayerGraph; count: number } {
  const builder = new GraphBuilder();
  let count = 0;
  const values = transplant(layer, builder, (node, args) => {
    const plain = builder.copy(node, args);
    const next = rewrite(builder.nodes[plain.id]!, args, builder);
    if (next) count++;
    return next ?? plain;
  });
  return { layer: builder.build({ out: values[layer.outputs.out]! }), count };
}

/** Inputs with a NaN and infinities among ordinary numbers. */
function broken(seed: number) {
  const inputs = generic(seed, SHAPE);
  const values = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const x = inputs.x.map((a, i) => (i % 11 === seed % 11 ? values[i % 3]! : a));
  return { ...inputs, x };
}

describe('every rule keeps values and gradients, with zeros, ties, NaN and infinities', () => {
  test('every rule has examples', () => {
    expect(Object.keys(EXAMPLES)).toEqual(RULES.map(({ name }) => name));
  });

  test.each(RULES.map((rule) => [rule.name, rule] as const))('%s', (name, rule) => {
    const { below } = stream(name.length);
    for (const example of EXAMPLES[name] ?? [])
      for (let round = 0; round < 12; round++) {
        const [a, b] = [FILLINGS[round % 9]!, FILLINGS[below(9)]!];
        const formula = example.replaceAll('A', a).replaceAll('B', b);
        const layer = parseLayer(formula);
        const { layer: after, count } = applyOnly(rule, layer);
        if (round === 0) expect(count, formula).toBeGreaterThan(0);
        verify(after);
        for (const inputs of [generic(round, SHAPE), tied(round, SHAPE)])
          expect(compareLayers(layer, after, SHAPE, inputs).difference, formula).toBe(null);
        const { difference } = compareLayers(layer, after, SHAPE, broken(round));
        if (rule.assumes?.includes('NaN')) expect(difference ?? '', formula).not.toMatch(/ y\[/);
        else expect(difference, formula).toBe(null);
      }
  });
});

describe('simplification of random graphs', () => {
  test('keeps values and gradients, in training and at inference, zeros and ties included', () => {
    let [compared, tight] = [0, 0];
    fc.assert(
      fc.property(genomes({ minNodes: 3, maxNodes: 14 }), fc.nat(), (genome, seed) => {
        const layer = liveGraph(genome);
        const simple = simplify(layer);
        verify(simple);
        for (const inputs of [generic(seed, SHAPE), tied(seed, SHAPE)]) {
          if (overflows(layer, SHAPE, inputs)) continue;
          const comparison = compareLayers(layer, simple, SHAPE, inputs);
          expect(comparison.difference, formatLayer(layer)).toBe(null);
          compared++;
          if (comparison.tight) tight++;
        }
      }),
      { numRuns: 400 },
    );
    expect(compared).toBeGreaterThan(600);
    expect(tight / compared).toBeGreaterThan(0.7);
  });

  test('is idempotent, whatever numbering it starts from', () => {
    fc.assert(
      fc.property(genomes({ minNodes: 5, maxNodes: 30 }), (genome) => {
        const simple = layerOf(genome);
        expect(simplify(simple)).toEqual(simple);
        expect(layerOf(genomeOf(simple))).toEqual(simple);
      }),
      { numRuns: 500 },
    );
  });

  test('comes to rest on long chains', () => {
    for (const op of ['neg', 'square', 'tanh', 'add'] as const) {
      const nodes = Array.from({ length: 1000 }, (_, k) => ({
        op,
        args: op === 'add' ? [k + 3, k % 2 === 0 ? 0 : 2] : [k === 0 ? 0 : k + 3],
      }));
      verify(layerOf({ nodes }));
    }
  });
});

describe('one form for', () => {
  const simple = (text: string) => formatLayer(simplify(parseLayer(text)));

  test.each([
    ['v0 + x', 'x + v0'],
    ['x * v1', 'v1 * x'],
    ['1 + x', 'x + 1'],
    ['max(0, x)', 'max(x, 0)'],
    ['(x + v0) + v1', 'x + v1 + v0'],
    ['v1 + (v0 + x)', 'x + v1 + v0'],
    ['x - v0 - v1', 'x - (v1 + v0)'],
    ['-v0 + (x - v1)', 'x - (v1 + v0)'],
    ['-(v0 - x)', 'x - v0'],
    ['-x * -v1', 'v1 * x'],
    ['x * v1 * x', 'v1 * square(x)'],
    ['x * x * x * x', 'square(square(x))'],
    ['x / v0 * v1', 'v1 * x / v0'],
    ['x / v1 / v0', 'x / v0 / v1'],
    ['v1 * (x / std[wh](x))', 'v1 * x / std[wh](x)'],
    ['x * (1 / std[wh](x))', 'x / std[wh](x)'],
    ['sigmoid(x * v1) * x / std[whc/g](x)', 'x * sigmoid(v1 * x) / std[whc/g](x)'],
    ['rms[bwh](x - mean[bwh](x))', 'std[bwh](x)'],
    ['mean[bwh](mean[wh](x))', 'mean[bwh](x)'],
    ['std[bwh](v0)', 'std[wh](v0)'],
    ['max(-x, x) + 0', 'abs(x)'],
    ['exp(0) * x', 'x'],
    ['tanh(-x) + sqrt(0)', '-tanh(x)'],
    ['neg(neg(neg(x)))', '-x'],
  ])('%s is %s', (text, wanted) => {
    expect(simple(text)).toBe(wanted);
  });

  test.each([
    // Each would be wrong for NaN or infinities, at a zero, or at a tie of three.
    'x - x',
    'x / x',
    '0 * x',
    '0 / x',
    'x / -v0',
    'sqrt(square(x))',
    'max(max(x, v0), x)',
    'std[wh](x + v0)',
    'abs(max(x, 0))',
  ])('%s stays', (text) => {
    expect(simple(text)).toBe(text);
  });

  test('random spellings, where the rules reach', () => {
    const { below } = stream(1);
    let [same, all] = [0, 0];
    fc.assert(
      fc.property(genomes(), (genome) => {
        const layer = liveGraph(genome);
        all++;
        if (formatLayer(simplify(respell(layer, below))) === formatLayer(simplify(layer))) same++;
      }),
      { numRuns: 300 },
    );
    expect(same / all).toBeGreaterThan(0.8);
  });

  test('shared terms are not merged into chains, so that graphs do not grow', () => {
    const powers = Array.from({ length: 60 }, (_, k) => ({
      op: 'mul' as const,
      args: [k === 0 ? 0 : k + 3, k < 2 ? 3 : k + 2],
    }));
    const layer = liveGraph({ nodes: powers });
    expect(canonical(layer).nodes.length).toBeLessThanOrEqual(layer.nodes.length);
  });
});
