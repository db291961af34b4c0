import { expect, test } from 'vitest';
import { anchorNamed } from '../../src/eval/anchors.ts';
import { initialParameters } from '../../src/eval/initial.ts';
import { DECAYED, type ParameterKind, parameterLayout } from '../../src/eval/network.ts';
import type { LayerGraph } from '../../src/graph/graph.ts';
import { parseLayer } from '../../src/graph/text.ts';

const identity = parseLayer('x');
const evoNormS0 = parseLayer('x * sigmoid(v1 * x) / std[whc/g](x)');

const everyParameter = parseLayer('tanh(v1 * x + v0)');

const network = anchorNamed('mini-efficient').network({ height: 14, width: 14, channels: 1 }, 10);

function byKind(layer: LayerGraph, seed: string) {
  const parameters = initialParameters(network, layer, seed);
  return parameterLayout(network, layer).map(({ kind, shape, offset, size }) => ({
    kind,
    shape,
    values: parameters.subarray(offset, offset + size),
  }));
}

const variance = (values: Float32Array) =>
  values.reduce((sum, value) => sum + value * value, 0) / values.length;

test('weights have variance 2 / fan-in before a layer or SiLU, else 1 / fan-in', () => {
  const gains: Partial<Record<ParameterKind, number>> = {
    conv: 2,
    depthwise: 2,
    reduce: 2,
    expand: 1,
    dense: 1,
  };
  const kinds = new Set<ParameterKind>();
  for (const { kind, shape, values } of byKind(identity, 'a')) {
    const gain = gains[kind];
    expect(DECAYED.has(kind)).toBe(gain !== undefined);
    if (gain === undefined || values.length < 200) continue;
    kinds.add(kind);
    const fanIn = values.length / shape.at(-1)!;
    const tolerance = 5 * Math.sqrt(2 / values.length);
    expect(Math.abs((variance(values) * fanIn) / gain - 1), kind).toBeLessThan(tolerance);
  }
  expect([...kinds].sort()).toEqual(Object.keys(gains).sort());
});

test('v1 and γ start at 1, v0, β and biases at 0', () => {
  const starts: Partial<Record<ParameterKind, number>> = {
    ...{ v0: 0, v1: 1, gamma: 1, beta: 0 },
    ...{ bias: 0, reduceBias: 0, expandBias: 0 },
  };
  const kinds = new Set<string>();
  for (const { kind, values } of byKind(everyParameter, 'a')) {
    if (DECAYED.has(kind)) continue;
    kinds.add(kind);
    expect(values.every((value) => value === starts[kind])).toBe(true);
  }
  expect([...kinds].sort()).toEqual(Object.keys(starts).sort());
});

test('weights depend on the seed, and not on the layer', () => {
  const weights = (layer: LayerGraph, seed: string) =>
    byKind(layer, seed).flatMap(({ kind, values }) => (kind === 'conv' ? [...values] : []));
  expect(weights(identity, 'a')).toEqual(weights(evoNormS0, 'a'));
  expect(weights(identity, 'a')).not.toEqual(weights(identity, 'b'));
});
