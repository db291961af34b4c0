import type { ImageShape, NetworkOp, ParameterKind } from '../network.ts';
import { convolve, convolveBack } from './convolution.ts';
import { expand, type Shape4, type Tensor, type Tf } from './tensors.ts';

export type PlainOp = Exclude<NetworkOp, { op: 'layer' }>;
type SqueezeExcite = Extract<NetworkOp, { op: 'squeezeExcite' }>;

/** The parameters of one operation by kind, in the shapes of `parameterLayout`. */
export type Weights = Readonly<Partial<Record<ParameterKind, Tensor>>>;

/** What an operation's output owes: gradients of its inputs, in their order, null where none is wanted; and of its parameters. */
export interface Owed {
  readonly inputs: readonly (Tensor | null)[];
  readonly own: Weights;
}

/** Rows of images, for a matrix product. */
const rowsOf = (tf: Tf, x: Tensor): Tensor => tf.reshape(x, [x.shape[0]!, x.size / x.shape[0]!]);

const imagesOf = (tf: Tf, rows: Tensor): Tensor =>
  tf.reshape(rows, [rows.shape[0]!, 1, 1, rows.shape[1]!]);

const affine = (tf: Tf, rows: Tensor, matrix: Tensor, bias: Tensor): Tensor =>
  tf.add(tf.matMul(rows, matrix), bias);

const affineBack = (tf: Tf, rows: Tensor, matrix: Tensor, dy: Tensor) => ({
  rows: tf.matMul(dy, matrix, false, true),
  matrix: tf.matMul(rows, dy, true, false),
  bias: tf.sum(dy, 0),
});

/** The output of an operation; images are [batch, height, width, channels]. */
export function forwardOp(
  tf: Tf,
  op: PlainOp,
  tensors: readonly Tensor[],
  shapes: readonly ImageShape[],
  weights: Weights,
): Tensor {
  switch (op.op) {
    case 'conv':
    case 'depthwise':
      return convolve(tf, op, shapes[op.input]!, tensors[op.input]!, weights[op.op]!);
    case 'squeezeExcite':
      return excite(tf, tensors[op.input]!, weights).y;
    case 'add':
      return tf.add(tensors[op.inputs[0]]!, tensors[op.inputs[1]]!);
    case 'pool':
      return tf.mean(tensors[op.input]!, [1, 2], true);
    case 'dense':
      return imagesOf(
        tf,
        affine(tf, rowsOf(tf, tensors[op.input]!), weights.dense!, weights.bias!),
      );
  }
}

/** The gradients, from that of the output; the images themselves, tensor 0, need none. */
export function backwardOp(
  tf: Tf,
  op: PlainOp,
  tensors: readonly Tensor[],
  shapes: readonly ImageShape[],
  weights: Weights,
  dy: Tensor,
): Owed {
  switch (op.op) {
    case 'conv':
    case 'depthwise': {
      const at = { x: tensors[op.input]!, weights: weights[op.op]!, dy };
      const { dx, dw } = convolveBack(tf, op, shapes[op.input]!, at, op.input > 0);
      return { inputs: [dx], own: { [op.op]: dw } };
    }
    case 'squeezeExcite':
      return exciteBack(tf, op, tensors[op.input]!, weights, dy);
    case 'add':
      return { inputs: [tf.clone(dy), tf.clone(dy)], own: {} };
    case 'pool': {
      const x = tensors[op.input]!;
      const share = tf.div(dy, x.shape[1]! * x.shape[2]!);
      return { inputs: [expand(tf, share, x.shape)], own: {} };
    }
    case 'dense': {
      const x = tensors[op.input]!;
      const owed = affineBack(tf, rowsOf(tf, x), weights.dense!, rowsOf(tf, dy));
      return {
        inputs: [tf.reshape(owed.rows, x.shape as Shape4)],
        own: { dense: owed.matrix, bias: owed.bias },
      };
    }
  }
}

/** x · factors, and what leads to the factors, image by image. */
function excite(tf: Tf, x: Tensor, weights: Weights) {
  const mean = rowsOf(tf, tf.mean(x, [1, 2], true));
  const reduced = affine(tf, mean, weights.reduce!, weights.reduceBias!);
  const hidden = tf.mul(reduced, tf.sigmoid(reduced));
  const factors = tf.sigmoid(affine(tf, hidden, weights.expand!, weights.expandBias!));
  return { mean, reduced, hidden, factors, y: tf.mul(x, imagesOf(tf, factors)) };
}

function exciteBack(tf: Tf, op: SqueezeExcite, x: Tensor, weights: Weights, dy: Tensor): Owed {
  const { mean, reduced, hidden, factors } = excite(tf, x, weights);
  const dFactors = rowsOf(tf, tf.sum(tf.mul(x, dy), [1, 2], true));
  const dExpanded = tf.mul(dFactors, tf.mul(factors, tf.sub(1, factors)));
  const outer = affineBack(tf, hidden, weights.expand!, dExpanded);
  const s = tf.sigmoid(reduced);
  const slope = tf.mul(s, tf.add(1, tf.mul(reduced, tf.sub(1, s))));
  const inner = affineBack(tf, mean, weights.reduce!, tf.mul(outer.rows, slope));
  const share = imagesOf(tf, tf.div(inner.rows, x.shape[1]! * x.shape[2]!));
  const dx = op.input > 0 ? tf.add(tf.mul(dy, imagesOf(tf, factors)), share) : null;
  return {
    inputs: [dx],
    own: {
      reduce: inner.matrix,
      reduceBias: inner.bias,
      expand: outer.matrix,
      expandBias: outer.bias,
    },
  };
}
