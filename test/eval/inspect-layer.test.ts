import { describe, expect, test } from 'vitest';
import {
  distributionOf,
  jacobian,
  jacobianSummary,
  normalValues,
} from '../../src/eval/inspect-layer.ts';
import { quantile } from '../../src/eval/quantile.ts';
import { effectiveGroups, FULL, sizeOf } from '../../src/graph/extent.ts';
import { evaluateGraph, expand } from '../../src/graph/interpreter.ts';
import { simplify } from '../../src/graph/simplify.ts';
import { parseLayer } from '../../src/graph/text.ts';
import { ZOO } from '../../src/graph/zoo.ts';

const layerOf = (formula: string) => simplify(parseLayer(formula));
const shape = { batch: 2, height: 2, width: 3, channels: 4, groups: effectiveGroups(4, 2) };
const size = sizeOf(FULL, shape);

function outputOf(formula: string, x: Float64Array): Float64Array {
  const graph = layerOf(formula);
  const { out } = graph.outputs;
  return expand(evaluateGraph(graph, shape, { x })[out]!, graph.nodes[out]!.extent, FULL, shape);
}

describe('the Jacobian', () => {
  test.each(ZOO.map(({ name, formula }) => [name, formula]))(
    'of %s is what differences say',
    (_, formula) => {
      const x = normalValues(size, 5, 'x');
      const rows = jacobian(layerOf(formula), shape, x);
      const step = 1e-6;
      for (let j = 0; j < size; j++) {
        const [above, below] = [step, -step].map((d) =>
          outputOf(
            formula,
            x.map((a, i) => (i === j ? a + d : a)),
          ),
        );
        for (let i = 0; i < size; i++)
          expect(rows[i]![j]).toBeCloseTo((above![i]! - below![i]!) / (2 * step), 5);
      }
    },
  );

  test('of what is linear is known', () => {
    const x = normalValues(size, 6, 'x');
    const pixels = shape.height * shape.width;
    const sameChannel = (i: number, j: number) => i % shape.channels === j % shape.channels;
    const image = (i: number) => Math.floor(i / (pixels * shape.channels));
    const known: Record<string, (i: number, j: number) => number> = {
      x: (i, j) => Number(i === j),
      '-x': (i, j) => -Number(i === j),
      'x - mean[wh](x)': (i, j) =>
        Number(i === j) - (image(i) === image(j) && sameChannel(i, j) ? 1 / pixels : 0),
      'mean[bwh](x)': (i, j) => (sameChannel(i, j) ? 1 / (shape.batch * pixels) : 0),
    };
    for (const [formula, entry] of Object.entries(known))
      jacobian(layerOf(formula), shape, x).forEach((row, i) => {
        row.forEach((value, j) => {
          expect(value, `${formula} at ${i}, ${j}`).toBeCloseTo(entry(i, j), 14);
        });
      });
  });

  test.each([
    // 4 images of 3 × 3 pixels and 8 channels: one direction in nine is lost where each image loses its mean,
    // one in 36 where the batch does.
    ['x', { mean: 1, deviation: 0, gain: 1, flat: 0, most: 1 }],
    ['x + x', { mean: 2, deviation: 0, gain: 2, flat: 0, most: 2 }],
    ['0 * x', { mean: 0, deviation: 0, gain: 0, flat: 1, most: 0 }],
    [
      'x - mean[wh](x)',
      { mean: 8 / 9, deviation: 0, gain: Math.sqrt(8 / 9), flat: 1 / 9, most: 1 },
    ],
    [
      'x + mean[bwh](x)',
      { mean: 37 / 36, deviation: 0, gain: Math.sqrt(39 / 36), flat: 0, most: 2 },
    ],
  ])('of %s has the spread that it must', (formula, { mean, deviation, gain, flat, most }) => {
    const found = jacobianSummary(layerOf(formula), 8, 0);
    expect(found.size).toBe(288);
    expect(found.singularValues).toHaveLength(288);
    const values = [found.diagonal.mean, found.diagonal.deviation, found.gain, found.flat];
    for (const [i, right] of [mean, deviation, gain, flat].entries())
      expect(values[i]).toBeCloseTo(right, 12);
    expect(found.singularValues[0]).toBeCloseTo(most, 12);
  });

  test('has as many flat directions as ReLU cuts values off', () => {
    const { singularValues, diagonal, flat } = jacobianSummary(layerOf('max(x, 0)'), 8, 3);
    expect(new Set(singularValues)).toEqual(new Set([1, 0]));
    expect(flat).toBeCloseTo(1 - diagonal.mean!, 12);
  });

  test('that is not finite has no singular values', () => {
    const found = jacobianSummary(layerOf('exp(exp(exp(exp(square(x) + square(x)))))'), 8, 0);
    expect(found).toMatchObject({ singularValues: [], gain: null, flat: null });
    expect(found.diagonal.mean).toBeNull();
  });
});

describe('a distribution', () => {
  test('tells moments, quantiles, zeros and what is not finite', () => {
    const found = distributionOf(Float64Array.of(0, 1, 2, 3, 4, -0));
    expect(found).toMatchObject({ mean: 10 / 6, zeros: 2 / 6, notFinite: 0 });
    expect(found.deviation).toBeCloseTo(Math.sqrt(30 / 6 - (10 / 6) ** 2), 14);
    expect(found.quantiles[3]).toBe(1.5);
    const broken = distributionOf(Float64Array.of(1, Number.NaN, 3, Number.POSITIVE_INFINITY));
    expect(broken).toMatchObject({ mean: null, deviation: null, notFinite: 0.5 });
    expect(broken.quantiles[3]).toBe(2);
    expect(distributionOf(Float64Array.of(Number.NaN)).quantiles).toEqual([]);
  });

  test('has the quantiles of NumPy', () => {
    // numpy.quantile([1, 2, 4, 8, 16], [0, 0.1, 0.5, 0.66, 1])
    const found = [0, 0.1, 0.5, 0.66, 1].map((share) => quantile([1, 2, 4, 8, 16], share));
    for (const [i, value] of [1, 1.4, 4, 6.56, 16].entries())
      expect(found[i]).toBeCloseTo(value, 12);
  });

  test('counts every value once, each in its bin', () => {
    const values = normalValues(5000, 1, 'histogram');
    const { from, to, below, above, counts } = distributionOf(values).histogram;
    expect(below).toBe(values.filter((a) => a < from).length);
    expect(above).toBe(values.filter((a) => a > to).length);
    const width = (to - from) / counts.length;
    counts.forEach((count, i) => {
      const [start, end] = [from + i * width, from + (i + 1) * width];
      const inside = values.filter(
        (a) => a >= start && (i === counts.length - 1 ? a <= to : a < end),
      );
      expect(Math.abs(count - inside.length)).toBeLessThanOrEqual(1);
    });
    expect(counts.reduce((a, b) => a + b, below + above)).toBe(values.length);
    expect((below + above) / values.length).toBeCloseTo(0.01, 2);
    expect(distributionOf(new Float64Array(7).fill(3)).histogram).toMatchObject({ from: 3, to: 4 });
  });
});
