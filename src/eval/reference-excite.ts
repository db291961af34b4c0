import type { ImageShape } from './network.ts';
import { affine, affineBackward, pooledIndex } from './reference-affine.ts';
import type { Slices } from './reference-ops.ts';

const sigmoid = (a: number): number => 1 / (1 + Math.exp(-a));

/** y = x · factors with factors = sigmoid(expandᵀ·silu(reduceᵀ·mean + reduceBias) + expandBias), and what leads to it. */
export function excite(x: Float64Array, shape: ImageShape, batch: number, weights: Slices) {
  const { height, width, channels } = shape;
  const mean = new Float64Array(batch * channels);
  x.forEach((a, i) => {
    mean[pooledIndex(i, shape)]! += a / (height * width);
  });
  const reduced = affine(mean, weights.reduce!, weights.reduceBias!, batch);
  const hidden = reduced.map((a) => a * sigmoid(a));
  const factors = affine(hidden, weights.expand!, weights.expandBias!, batch).map(sigmoid);
  const y = x.map((a, i) => a * factors[pooledIndex(i, shape)]!);
  return { mean, reduced, hidden, factors, y };
}

/** Adds what `dy` gives to `dx` and to the gradients of the parameters in `own`. */
export function exciteBackward(
  x: Float64Array,
  shape: ImageShape,
  batch: number,
  weights: Slices,
  dy: Float64Array,
  dx: Float64Array,
  own: Slices,
) {
  const { mean, reduced, hidden, factors } = excite(x, shape, batch, weights);
  const dFactors = new Float64Array(factors.length);
  x.forEach((a, i) => {
    dFactors[pooledIndex(i, shape)]! += a * dy[i]!;
  });
  const dExpanded = dFactors.map((d, i) => d * factors[i]! * (1 - factors[i]!));
  const dHidden = new Float64Array(hidden.length);
  affineBackward(hidden, weights.expand!, dExpanded, batch, dHidden, own.expand!, own.expandBias!);
  const dReduced = dHidden.map((d, i) => {
    const s = sigmoid(reduced[i]!);
    return d * s * (1 + reduced[i]! * (1 - s));
  });
  const dMean = new Float64Array(mean.length);
  affineBackward(mean, weights.reduce!, dReduced, batch, dMean, own.reduce!, own.reduceBias!);
  dy.forEach((d, i) => {
    const k = pooledIndex(i, shape);
    dx[i]! += d * factors[k]! + dMean[k]! / (shape.height * shape.width);
  });
}
