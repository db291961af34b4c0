import type { ImageShape, NetworkOp } from '../network.ts';
import type { Shape4, Tensor, Tf } from './tensors.ts';

export type Convolution = Extract<NetworkOp, { op: 'conv' | 'depthwise' }>;

/** Rows or columns of zeros in front of and behind an axis. */
type Padding = readonly [before: number, after: number];

/**
 * How a convolution of ours, which pads by (kernel − 1) / 2 on both sides, is said to TensorFlow, whose `same`
 * pads by less in front where the stride is 2 and the size even; then the zeros are laid by hand.
 */
interface Plan {
  readonly pad: 'same' | 'valid';
  readonly rows: Padding;
  readonly columns: Padding;
}

function planOf({ kernel, stride }: Convolution, { height, width }: ImageShape): Plan {
  const own = (kernel - 1) / 2;
  const needed = (size: number) =>
    Math.max(0, (Math.ceil(size / stride) - 1) * stride + kernel - size);
  const isSame = [height, width].every((size) => Math.floor(needed(size) / 2) === own);
  if (isSame) return { pad: 'same', rows: [0, 0], columns: [0, 0] };
  const laid = (size: number): Padding => [own, Math.max(0, needed(size) - own)];
  return { pad: 'valid', rows: laid(height), columns: laid(width) };
}

const isLaid = ({ rows, columns }: Plan): boolean => [...rows, ...columns].some((n) => n > 0);

function padded(tf: Tf, x: Tensor, plan: Plan): Tensor {
  if (!isLaid(plan)) return x;
  const [rows, columns] = [plan.rows, plan.columns] as [number, number][];
  return tf.pad(x, [[0, 0], rows!, columns!, [0, 0]]);
}

/** The kernels of the four passes, by the names under which backends register them. */
const KERNELS = {
  conv: {
    forward: 'Conv2D',
    input: 'Conv2DBackpropInput',
    filter: 'Conv2DBackpropFilter',
  },
  depthwise: {
    forward: 'DepthwiseConv2dNative',
    input: 'DepthwiseConv2dNativeBackpropInput',
    filter: 'DepthwiseConv2dNativeBackpropFilter',
  },
} as const;

/** Filters are [kh, kw, in, out]; those of depthwise convolutions are [kh, kw, channels, 1]. */
const filterOf = (tf: Tf, op: Convolution, weights: Tensor): Tensor =>
  op.op === 'conv' ? weights : tf.reshape(weights, [...weights.shape, 1]);

const attributes = ({ stride }: Convolution, { pad }: Plan) => ({
  strides: [stride, stride],
  pad,
  dataFormat: 'NHWC',
  dilations: [1, 1],
});

const run = (tf: Tf, name: string, inputs: Record<string, Tensor>, attrs: object): Tensor =>
  tf.engine().runKernel(name, inputs, attrs as never) as Tensor;

export function convolve(
  tf: Tf,
  op: Convolution,
  shape: ImageShape,
  x: Tensor,
  weights: Tensor,
): Tensor {
  const plan = planOf(op, shape);
  const inputs = { x: padded(tf, x, plan), filter: filterOf(tf, op, weights) };
  return run(tf, KERNELS[op.op].forward, inputs, attributes(op, plan));
}

/** The gradients of the input, where it is wanted, and of the weights. */
export function convolveBack(
  tf: Tf,
  op: Convolution,
  shape: ImageShape,
  { x, weights, dy }: { readonly x: Tensor; readonly weights: Tensor; readonly dy: Tensor },
  wantsInput: boolean,
): { dx: Tensor | null; dw: Tensor } {
  const plan = planOf(op, shape);
  const from = padded(tf, x, plan);
  const filter = filterOf(tf, op, weights);
  const attrs = attributes(op, plan);
  const dw = run(
    tf,
    KERNELS[op.op].filter,
    { x: from, dy },
    { ...attrs, filterShape: filter.shape },
  );
  const result = { dx: null, dw: tf.reshape(dw, weights.shape) };
  if (!wantsInput) return result;
  const inputShape = from.shape as Shape4;
  const dx = run(tf, KERNELS[op.op].input, { dy, filter }, { ...attrs, inputShape });
  if (!isLaid(plan)) return { ...result, dx };
  return { ...result, dx: tf.slice(dx, [0, plan.rows[0], plan.columns[0], 0], x.shape) };
}
