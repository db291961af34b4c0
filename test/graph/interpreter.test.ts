import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Extent,
  effectiveGroups,
  INDEX_SETS,
  type LayerShape,
} from '../../src/graph/extent.ts';
import { liveGraph } from '../../src/graph/genome.ts';
import { evaluateGraph, expand, inferLayer, trainLayer } from '../../src/graph/interpreter.ts';
import { ELEMENTWISE_NAMES, elementwise, MOMENT_NAMES } from '../../src/graph/ops.ts';
import { parseLayer } from '../../src/graph/text.ts';
import { genomes } from './arbitrary.ts';
import { generic, ODD_SHAPE, SHAPE, tied } from './inputs.ts';
import { naive } from './naive.ts';

const shapes: LayerShape[] = [
  SHAPE,
  ODD_SHAPE,
  { batch: 1, height: 1, width: 1, channels: 1, groups: 1 },
  { batch: 2, height: 3, width: 1, channels: 6, groups: 3 },
];

/** Compares by the largest entry, and wants the same entries not to be finite. */
function expectClose(actual: ArrayLike<number>, wanted: ArrayLike<number>, tolerance = 1e-9) {
  expect(actual.length).toBe(wanted.length);
  const finite = Array.from(wanted).filter(Number.isFinite).map(Math.abs);
  const limit = tolerance * Math.max(1e-6, ...finite);
  for (let i = 0; i < actual.length; i++) {
    const [a, b] = [actual[i]!, wanted[i]!];
    if (Number.isFinite(b)) expect(Math.abs(a - b), `${a} and ${b} at ${i}`).toBeLessThan(limit);
    else expect(a).toBe(b);
  }
}

describe('forward values agree with a second implementation', () => {
  const formulas = [
    ...ELEMENTWISE_NAMES.map((op) =>
      elementwise[op].arity === 1 ? `${op}(v1 * x + v0)` : `${op}(x, v1)`,
    ),
    ...MOMENT_NAMES.flatMap((op) =>
      INDEX_SETS.flatMap((index) => [
        `x * ${op}[${index}](x + v0)`,
        // Of values that vary over less: by image and channel, by image and group, by channel.
        ...INDEX_SETS.map((inner) => `${op}[${index}](std[${inner}](x))`),
        `${op}[${index}](v1)`,
      ]),
    ),
  ];
  test.each(formulas)('%s', (formula) => {
    const layer = parseLayer(formula);
    for (const shape of shapes)
      for (const inputs of [generic(1, shape), tied(2, shape)])
        expectClose(trainLayer(layer, shape, inputs).y, naive(layer, shape, inputs));
  });

  test('random graphs', () => {
    fc.assert(
      fc.property(genomes(), fc.nat(), (genome, seed) => {
        const layer = liveGraph(genome);
        const inputs = generic(seed, SHAPE);
        const values = evaluateGraph(layer, SHAPE, inputs);
        // Both lose digits where large numbers cancel or functions are steep.
        fc.pre(values.every((value) => value.every((v) => Math.abs(v) < 1e3)));
        fc.pre(layer.nodes.every(({ op }) => op !== 'div' && op !== 'log' && op !== 'sqrt'));
        expectClose(trainLayer(layer, SHAPE, inputs).y, naive(layer, SHAPE, inputs), 1e-6);
      }),
      { numRuns: 300 },
    );
  });
});

test('moments keep their digits under a large offset', () => {
  const { x } = generic(3, SHAPE);
  const far = x.map((a) => a + 1e8);
  const std = (value: Float64Array) =>
    trainLayer(parseLayer('std[bwh](x)'), SHAPE, { x: value, dy: x }).y;
  expectClose(std(far), std(x), 1e-7);
});

test('every value is stored at its extent', () => {
  const layer = parseLayer('std[whc/g](x) * v1 + mean[bwh](x) + exp(0)');
  const values = evaluateGraph(layer, SHAPE, generic(1, SHAPE));
  const sizes: Record<string, number> = { bsc: 32, bg: 4, c: 4, bc: 8, '': 1 };
  for (const [id, { extent }] of layer.nodes.entries())
    expect(values[id]!.length).toBe(sizes[extent]);
});

test('expand repeats a value along the axes it lacks', () => {
  const shape = { batch: 2, height: 1, width: 2, channels: 4, groups: 2 };
  const grow = (values: number[], from: Extent, to: Extent) => [
    ...expand(Float64Array.from(values), from, to, shape),
  ];
  expect(grow([7], '', 'c')).toEqual([7, 7, 7, 7]);
  expect(grow([1, 2], 'g', 'c')).toEqual([1, 1, 2, 2]);
  expect(grow([1, 2], 'b', 'bg')).toEqual([1, 1, 2, 2]);
  expect(grow([1, 2, 3, 4], 'bg', 'bsc')).toEqual([1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4]);
});

test('the groups of a layer divide its channels', () => {
  expect([8, 6, 7, 1, 48].map((channels) => effectiveGroups(channels, 4))).toEqual([4, 3, 1, 1, 4]);
  expect(effectiveGroups(8, 32)).toBe(8);
});

describe('NaN propagates', () => {
  const x = generic(1, SHAPE).x.map((a, i) => (i === 5 ? Number.NaN : a));
  test.each(ELEMENTWISE_NAMES)('%s', (op) => {
    const formulas = elementwise[op].arity === 1 ? [`${op}(x)`] : [`${op}(x, v1)`, `${op}(v1, x)`];
    for (const formula of formulas) {
      const { y } = trainLayer(parseLayer(formula), SHAPE, { x, dy: x });
      expect([...y].flatMap((v, i) => (Number.isNaN(v) ? [i] : []))).toEqual([5]);
    }
  });

  test('moments spread it over what they average', () => {
    const count = (index: string) =>
      trainLayer(parseLayer(`std[${index}](x)`), SHAPE, { x, dy: x }).y.filter(Number.isNaN).length;
    expect(INDEX_SETS.map(count)).toEqual([8, 16, 4, 8]);
  });
});

describe('moving statistics', () => {
  const layer = parseLayer('(x - mean[bwh](x)) / std[bwh](x) + rms[bwh](v1 * x)');
  const inputs = generic(4, SHAPE);

  test('those of a batch give at inference what training gave', () => {
    const { y, statistics } = trainLayer(layer, SHAPE, inputs);
    expect(statistics.map(({ length }) => length)).toEqual([4, 4, 4]);
    expectClose(inferLayer(layer, SHAPE, { ...inputs, statistics }).y, y, 1e-12);
  });

  test('start at mean 0, mean square 1 and variance 1', () => {
    const bare = parseLayer('mean[bwh](x) + exp(rms[bwh](x)) - std[bwh](x)');
    const { y } = inferLayer(bare, SHAPE, { x: inputs.x, dy: inputs.dy });
    const one = Math.sqrt(1 + 1e-5);
    expectClose(
      y,
      [...y].map(() => Math.exp(one) - one),
    );
  });

  test('make the result independent of the batch', () => {
    const { statistics } = trainLayer(layer, SHAPE, inputs);
    const whole = inferLayer(layer, SHAPE, { ...inputs, statistics }).y;
    const half = { ...SHAPE, batch: 1 };
    for (const [from, to] of [
      [0, 16],
      [16, 32],
    ]) {
      const part = { ...inputs, x: inputs.x.slice(from, to), dy: inputs.dy.slice(from, to) };
      const { y } = inferLayer(layer, half, { ...part, statistics });
      expect([...y]).toEqual([...whole.slice(from, to)]);
    }
  });
});

test('inputs of the wrong size are internal errors', () => {
  const layer = parseLayer('x * v1');
  const { x, dy } = generic(1, SHAPE);
  expect(() => trainLayer(layer, SHAPE, { x: x.slice(1), dy })).toThrow(
    'internal: x has 31 entries, not 32',
  );
  expect(() => trainLayer(layer, SHAPE, { x })).toThrow('internal: the graph reads dy');
});
