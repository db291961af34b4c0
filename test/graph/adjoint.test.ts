import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  forwardGraph,
  inferenceLayer,
  movingMoments,
  trainingGraph,
} from '../../src/graph/adjoint.ts';
import { FULL, INDEX_SETS, type LayerShape } from '../../src/graph/extent.ts';
import { liveGraph, verify } from '../../src/graph/genome.ts';
import type { LayerGraph } from '../../src/graph/graph.ts';
import { evaluateGraph, expand, inferLayer, trainLayer } from '../../src/graph/interpreter.ts';
import {
  ELEMENTWISE_NAMES,
  elementwise,
  isElementwise,
  MOMENT_NAMES,
} from '../../src/graph/ops.ts';
import { parseLayer } from '../../src/graph/text.ts';
import { genomes } from './arbitrary.ts';
import { generic, ODD_SHAPE, SHAPE, stream } from './inputs.ts';

type Inputs = ReturnType<typeof generic> & { statistics?: Float64Array[] };
const READ = ['x', 'v0', 'v1', 'gamma', 'beta'] as const;

/** Σ y·dy by the forward graph alone. */
function objective(layer: LayerGraph, shape: LayerShape, inputs: Inputs): number {
  const graph = forwardGraph(layer);
  const { y } = graph.outputs;
  const value = evaluateGraph(graph, shape, inputs)[y]!;
  const full = expand(value, graph.nodes[y]!.extent, FULL, shape);
  return full.reduce((sum, v, i) => sum + v * inputs.dy[i]!, 0);
}

/** True where an argument stands so near to a kink that differences would straddle it, or is beyond measure. */
function isAwkward(layer: LayerGraph, shape: LayerShape, inputs: Inputs): boolean {
  const values = evaluateGraph(layer, shape, inputs).map((value, id) =>
    expand(value, layer.nodes[id]!.extent, FULL, shape),
  );
  return layer.nodes.some((node, id) => {
    if (values[id]!.some((v) => !(Math.abs(v) < 1e4))) return true;
    const nearKink = isElementwise(node.op) ? elementwise[node.op].samples.nearKink : undefined;
    const args = node.args.map((arg) => values[arg]!);
    return nearKink !== undefined && args[0]!.some((_, i) => nearKink(...args.map((a) => a[i]!)));
  });
}

/**
 * Compares the adjoint with central differences along a random direction of every input. Returns how
 * many were compared: a difference quotient that changes with its step says nothing.
 */
function compare(layer: LayerGraph, shape: LayerShape, inputs: Inputs, seed: number): number {
  const { array } = stream(seed);
  const adjoint = trainLayer(layer, shape, inputs);
  let compared = 0;
  for (const name of READ) {
    const direction = array(inputs[name].length);
    const along = (h: number) => {
      const moved = inputs[name].map((a, i) => a + h * direction[i]!);
      return objective(layer, shape, { ...inputs, [name]: moved });
    };
    const quotient = (h: number) => (along(h) - along(-h)) / (2 * h);
    const wanted = quotient(1e-5);
    const terms = adjoint[`d${name}`].map((d, i) => d * direction[i]!);
    const size = terms.reduce((sum, t) => sum + Math.abs(t), Math.abs(wanted) + 1e-3);
    if (!(Math.abs(wanted - quotient(3e-5)) < 1e-5 * size)) continue;
    const found = terms.reduce((sum, t) => sum + t, 0);
    expect(Math.abs(found - wanted), `d${name}: ${found}, not ${wanted}`).toBeLessThan(1e-4 * size);
    compared++;
  }
  return compared;
}

const formulas = [
  ...ELEMENTWISE_NAMES.map((op) =>
    elementwise[op].arity === 1 ? `${op}(v1 * x + v0) * x` : `${op}(v1 * x, v0 + x)`,
  ),
  ...ELEMENTWISE_NAMES.filter((op) => elementwise[op].arity === 2).flatMap((op) => [
    `${op}(x, v1)`,
    `${op}(v1, x)`,
    `${op}(mean[whc/g](x), exp(v0))`,
    `x * ${op}(mean[wh](x), std[whc](x))`,
  ]),
  ...MOMENT_NAMES.flatMap((op) =>
    INDEX_SETS.flatMap((index) => [
      `${op}[${index}](x)`,
      `x * ${op}[${index}](v1 * x + v0)`,
      `${op}[${index}](v0) * x`,
      ...INDEX_SETS.map((inner) => `tanh(x) * ${op}[${index}](v1 * std[${inner}](x))`),
    ]),
  ),
];

describe('adjoints agree with central differences', () => {
  test.each(formulas)('%s', (formula) => {
    const layer = parseLayer(formula);
    verify(trainingGraph(layer));
    let compared = 0;
    for (const shape of [SHAPE, ODD_SHAPE])
      for (let seed = 0, tries = 0; tries < 3 && seed < 40; seed++) {
        const inputs = generic(seed, shape);
        if (isAwkward(layer, shape, inputs)) continue;
        compared += compare(layer, shape, inputs, seed);
        tries++;
      }
    expect(compared).toBeGreaterThanOrEqual(20);
  });

  test('of 500 random graphs, in training and at inference', () => {
    let graphs = 0;
    const check = (genome: Parameters<typeof liveGraph>[0], seed: number) => {
      const layer = liveGraph(genome);
      verify(trainingGraph(layer));
      const inputs = generic(seed, SHAPE);
      if (isAwkward(layer, SHAPE, inputs)) return;
      if (compare(layer, SHAPE, inputs, seed) >= 4) graphs++;
      if (movingMoments(layer).length === 0) return;
      const { statistics } = trainLayer(layer, SHAPE, generic(seed + 1, SHAPE));
      const inferring = { ...inputs, statistics };
      if (!isAwkward(inferenceLayer(layer), SHAPE, inferring))
        compare(inferenceLayer(layer), SHAPE, inferring, seed);
    };
    for (let round = 0; graphs < 500 && round < 20; round++)
      fc.assert(fc.property(genomes({ minNodes: 3 }), fc.nat(), check), { numRuns: 200 });
    expect(graphs).toBeGreaterThanOrEqual(500);
  });
});

test('at inference nothing flows through moving statistics', () => {
  const layer = parseLayer('x * rms[bwh](v1 * x)');
  const inputs = generic(1, SHAPE);
  const { statistics } = trainLayer(layer, SHAPE, inputs);
  const { dx, dv1 } = inferLayer(layer, SHAPE, { ...inputs, statistics });
  const root = [...statistics[0]!].map((s) => Math.sqrt(s + 1e-5));
  for (const [i, d] of dx.entries())
    expect(d).toBeCloseTo(inputs.dy[i]! * inputs.gamma[i % 4]! * root[i % 4]!, 12);
  expect([...dv1]).toEqual([0, 0, 0, 0]);
});

describe('at kinks', () => {
  const shape: LayerShape = { batch: 1, height: 1, width: 1, channels: 4, groups: 2 };
  const dy = Float64Array.of(1, 1, 1, 1);
  const gradients = (formula: string, x: number[], more: Partial<Inputs> = {}) => {
    const inputs = { x: Float64Array.from(x), dy, ...more };
    return trainLayer(parseLayer(formula), shape, inputs);
  };

  test('max sends half of the gradient to each side of a tie', () => {
    expect([...gradients('max(x, 0)', [0, -0, 1, -1]).dx]).toEqual([0.5, 0.5, 1, 0]);
    const { dx, dv1 } = gradients('max(x, v1)', [1, 2, 1, 0]);
    expect([...dx]).toEqual([0.5, 1, 0.5, 0]);
    expect([...dv1]).toEqual([0.5, 0, 0.5, 1]);
    expect([...gradients('max(x, x)', [0, 1, 2, 3]).dx]).toEqual([1, 1, 1, 1]);
    expect([...gradients('max(x, -x)', [0, 1, -2, 0]).dx]).toEqual([0, 1, -1, 0]);
  });

  test('abs, log and sqrt have derivative 0 at exactly 0', () => {
    for (const op of ['abs', 'log', 'sqrt']) {
      const { y, dx } = gradients(`${op}(x)`, [0, -0, 1e-7, -1e-7]);
      expect([y[0], dx[0]].map(Math.abs)).toEqual([0, 0]);
      expect([y[1], dx[1]].map((v) => Math.abs(v!))).toEqual([0, 0]);
      expect(Math.abs(dx[2]!)).toBeGreaterThan(0.9);
      expect(Math.abs(dx[3]!)).toBeGreaterThan(0.9);
    }
  });

  test('a guarded denominator counts as ±ε and takes no gradient', () => {
    const v0 = Float64Array.of(0, 1e-6, -1e-6, 2e-5);
    const { y, dx, dv0 } = gradients('x / v0', [3, 3, 3, 3], { v0 });
    expect([...y].map((v) => Number(v.toPrecision(12)))).toEqual([3e5, 3e5, -3e5, 1.5e5]);
    expect([...dx].map((v) => Number(v.toPrecision(12)))).toEqual([1e5, 1e5, -1e5, 5e4]);
    expect([...dv0].map((v) => Math.abs(v))).toEqual([0, 0, 0, expect.closeTo(7.5e9, -1)]);
  });
});

test('gradients of inputs that the layer does not read are zero', () => {
  const { dv0, dv1, dgamma, dbeta } = trainLayer(parseLayer('tanh(x)'), SHAPE, generic(1, SHAPE));
  expect([...dv0, ...dv1]).toEqual(Array(8).fill(0));
  expect([...dgamma, ...dbeta].every((v) => v !== 0)).toBe(true);
});
