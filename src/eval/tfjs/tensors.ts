import type * as core from '@tensorflow/tfjs-core';

/** TensorFlow.js as a value: which copy of it is loaded depends on the backend's package. */
export type Tf = typeof core;
export type Tensor = core.Tensor;
export type Shape4 = [number, number, number, number];

/** `a` repeated along the axes that only `shape` has. Adding zeros is fast on every backend; tiling is not on wasm. */
export function expand(tf: Tf, a: Tensor, shape: readonly number[]): Tensor {
  if (tf.util.arraysEqual(a.shape, shape as number[])) return a;
  return tf.tidy(() => tf.add(a, tf.zeros(shape as number[])));
}
