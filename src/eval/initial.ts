import type { LayerGraph } from '../graph/graph.ts';
import { type Network, type ParameterKind, parameterLayout } from './network.ts';
import { fillNormal, type RandomGenerator, randomStream } from './random.ts';

type Initialiser = (values: Float32Array, shape: readonly number[], rng: RandomGenerator) => void;

const constant =
  (value: number): Initialiser =>
  (values) => {
    values.fill(value);
  };

/** Normal with variance gain / fan-in, where the fan-in is the number of values behind one output. */
const scaledNormal =
  (gain: number): Initialiser =>
  (values, shape, rng) => {
    const fanIn = shape.slice(0, -1).reduce((a, b) => a * b, 1);
    fillNormal(values, Math.sqrt(gain / fanIn), rng);
  };

const INITIALISERS: Record<ParameterKind, Initialiser> = {
  /** He et al. 2015, fan-in = kernel² · input channels: keeps the variance where half of the values are cut off. */
  conv: scaledNormal(2),
  /** The same; its fan-in is kernel². */
  depthwise: scaledNormal(2),
  /** SiLU cuts off much like ReLU. */
  reduce: scaledNormal(2),
  reduceBias: constant(0),
  /** A sigmoid follows, and nothing is cut off: factors start around one half. */
  expand: scaledNormal(1),
  expandBias: constant(0),
  /** No layer follows the logits, so nothing is cut off. */
  dense: scaledNormal(1),
  bias: constant(0),
  v0: constant(0),
  v1: constant(1),
  gamma: constant(1),
  beta: constant(0),
};

/**
 * The parameters that training starts from, in the order of `parameterLayout`. Weights depend on the
 * network and the seed alone: two layers under one seed start from the same convolutions.
 */
export function initialParameters(network: Network, layer: LayerGraph, seed: string): Float32Array {
  const layout = parameterLayout(network, layer);
  const last = layout.at(-1);
  const parameters = new Float32Array(last ? last.offset + last.size : 0);
  const rng = randomStream('weights', seed);
  for (const { kind, shape, offset, size } of layout)
    INITIALISERS[kind](parameters.subarray(offset, offset + size), shape, rng);
  return parameters;
}
