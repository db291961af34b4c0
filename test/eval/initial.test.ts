import { expect, test } from 'vitest';
import { anchorNamed } from '../../src/eval/anchors.ts';
import { initialParameters } from '../../src/eval/initial.ts';
import { parameterLayout } from '../../src/eval/network.ts';
import type { LayerGraph } from '../../src/graph/graph.ts';
import { parseLayer } from '../../src/graph/text.ts';

const identity = parseLayer('x');
const evoNormS0 = parseLayer('x * sigmoid(v1 * x) / std[whc/g](x)');

const network = anchorNamed('mini-wide').network({ height: 14, width: 14, channels: 1 }, 10);

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

test('convolutions have variance 2 / fan-in, dense weights 1 / fan-in', () => {
  for (const { kind, shape, values } of byKind(identity, 'a')) {
    if ((kind !== 'conv' && kind !== 'dense') || values.length < 300) continue;
    const fanIn = values.length / shape.at(-1)!;
    const tolerance = 5 * Math.sqrt(2 / values.length);
    const gain = kind === 'conv' ? 2 : 1;
    expect(Math.abs((variance(values) * fanIn) / gain - 1)).toBeLessThan(tolerance);
  }
});

test('v1 and γ start at 1, v0, β and biases at 0', () => {
  const start = { v0: 0, v1: 1, gamma: 1, beta: 0, bias: 0 };
  const kinds = new Set<string>();
  for (const { kind, values } of byKind(evoNormS0, 'a'))
    if (kind !== 'conv' && kind !== 'dense') {
      kinds.add(kind);
      expect(values.every((value) => value === start[kind])).toBe(true);
    }
  expect([...kinds].sort()).toEqual(['beta', 'bias', 'gamma', 'v1']);
});

test('weights depend on the seed, and not on the layer', () => {
  const weights = (layer: LayerGraph, seed: string) =>
    byKind(layer, seed).flatMap(({ kind, values }) => (kind === 'conv' ? [...values] : []));
  expect(weights(identity, 'a')).toEqual(weights(evoNormS0, 'a'));
  expect(weights(identity, 'a')).not.toEqual(weights(identity, 'b'));
});
