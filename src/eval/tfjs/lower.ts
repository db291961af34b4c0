import {
  channelAxis,
  type Extent,
  hasBatch,
  hasSpace,
  type IndexSet,
  type LayerShape,
  sizeOf,
  union,
} from '../../graph/extent.ts';
import { type InputName, isInput, type Node, type Op } from '../../graph/graph.ts';
import { EPSILON } from '../../graph/ops.ts';
import { expand, type Shape4, type Tensor, type Tf } from './tensors.ts';

/** A value, and the axes that it varies over; its tensor has four axes, of size 1 where it does not vary. */
export interface Operand {
  readonly tensor: Tensor;
  readonly extent: Extent;
  /** True where it is known to be at least √ε. */
  readonly clear: boolean;
}

/** What the lowering of a node may read beside its arguments. */
export interface Scope {
  readonly tf: Tf;
  readonly shape: LayerShape;
  /** With four axes each. */
  readonly inputs: Readonly<Partial<Record<InputName, Tensor>>>;
  /** Moving statistics by slot, at the extents of their moments. */
  readonly statistics: readonly Tensor[];
}

type Lowering<Name extends Op> = (
  scope: Scope,
  args: readonly Operand[],
  node: Extract<Node, { op: Name }>,
) => Tensor;

/** The four axes of a value of an extent. */
export const axesOf = (
  extent: Extent,
  { batch, height, width, channels, groups }: LayerShape,
): Shape4 => [
  hasBatch(extent) ? batch : 1,
  hasSpace(extent) ? height : 1,
  hasSpace(extent) ? width : 1,
  { c: channels, g: groups, '': 1 }[channelAxis(extent)],
];

const unary =
  (value: (tf: Tf, a: Tensor) => Tensor) =>
  ({ tf }: Scope, [a]: readonly Operand[]): Tensor =>
    value(tf, a!.tensor);

const binary =
  (value: (tf: Tf, a: Tensor, b: Tensor, clear: boolean) => Tensor) =>
  (scope: Scope, [a, b]: readonly Operand[]): Tensor => {
    const extent = union(a!.extent, b!.extent);
    const [first, second] = [a!, b!].map((one) => perChannel(one, extent, scope));
    return value(scope.tf, first!, second!, b!.clear);
  };

/** Broadcasting knows no groups of channels: a value of the groups is repeated for the channels of the other. */
function perChannel(
  { tensor, extent }: Pick<Operand, 'tensor' | 'extent'>,
  to: Extent,
  { tf, shape }: Scope,
): Tensor {
  if (channelAxis(extent) !== 'g' || channelAxis(to) !== 'c') return tensor;
  const [n, h, w, groups] = tensor.shape as Shape4;
  const rows = tf.reshape(tensor, [n * h * w * groups, 1]);
  const repeated = tf.mul(rows, tf.ones([1, shape.channels / groups]));
  return tf.reshape(repeated, [n, h, w, shape.channels]);
}

/** A value repeated along the axes that only `to` has. */
export const spread = (a: Pick<Operand, 'tensor' | 'extent'>, to: Extent, scope: Scope): Tensor =>
  scope.tf.tidy(() => expand(scope.tf, perChannel(a, to, scope), axesOf(to, scope.shape)));

/** The mean over an index set; axes that the value lacks have size 1. */
function meanOver(index: IndexSet, { tensor, extent }: Operand, { tf, shape }: Scope): Tensor {
  switch (index) {
    case 'bwh':
      return tf.mean(tf.mean(tensor, [1, 2], true), 0, true);
    case 'wh':
      return tf.mean(tensor, [1, 2], true);
    case 'whc':
      return tf.mean(tensor, [1, 2, 3], true);
    case 'whc/g': {
      const mean = tf.mean(tensor, [1, 2], true);
      if (channelAxis(extent) !== 'c') return mean;
      const images = tensor.shape[0]!;
      const members = tf.reshape(mean, [images * shape.groups, shape.channels / shape.groups]);
      return tf.reshape(tf.mean(members, 1), [images, 1, 1, shape.groups]);
    }
  }
}

const meanSquare = (index: IndexSet, a: Operand, scope: Scope): Tensor =>
  meanOver(index, { ...a, tensor: scope.tf.square(a.tensor) }, scope);

/** In two passes, for the data may lie far from zero. */
function variance(index: IndexSet, a: Operand, scope: Scope): Tensor {
  const { tf } = scope;
  const mean = { ...a, tensor: meanOver(index, a, scope), extent: meanExtent(index, a.extent) };
  const centered = tf.sub(a.tensor, perChannel(mean, a.extent, scope));
  return meanSquare(index, { ...a, tensor: centered }, scope);
}

const meanExtent = (index: IndexSet, extent: Extent): Extent =>
  index === 'whc/g' && channelAxis(extent) !== '' ? 'bg' : extent;

const rootEps = (tf: Tf, a: Tensor): Tensor => tf.sqrt(tf.add(a, EPSILON));

/** b, or ε with b's sign where |b| < ε. NaN stays, as it compares as false. */
function guard(tf: Tf, b: Tensor): Tensor {
  const signed = tf.sub(EPSILON, tf.mul(tf.cast(tf.less(b, 0), 'float32'), 2 * EPSILON));
  return tf.where(tf.less(tf.abs(b), EPSILON), signed, b);
}

const truth = (tf: Tf, condition: Tensor): Tensor => tf.cast(condition, 'float32');

/** 1, ½ or 0 where a is greater, equal or smaller. */
const step = (tf: Tf, a: Tensor, b: Tensor): Tensor =>
  tf.mul(tf.add(truth(tf, tf.greater(a, b)), truth(tf, tf.greaterEqual(a, b))), 0.5);

/** The sum over the axes that `to` lacks; where the value lacks axes of `from` itself, it counts so many times. */
function sumTo(a: Operand, { from, to }: Extract<Node, { op: 'sumTo' }>, scope: Scope): Tensor {
  const { tf, shape } = scope;
  const over = union(a.extent, to);
  const times = sizeOf(from, shape) / sizeOf(over, shape);
  const full = spread(a, over, scope);
  const isGrouped = channelAxis(over) === 'c' && channelAxis(to) === 'g';
  const wanted = axesOf(to, shape);
  const axes = (isGrouped ? [0, 1, 2] : [0, 1, 2, 3]).filter(
    (i) => wanted[i] === 1 && full.shape[i] !== 1,
  );
  const summed = axes.length > 0 ? tf.sum(full, axes, true) : full;
  return tf.mul(isGrouped ? groupSums(tf, summed, shape) : summed, times);
}

function groupSums(tf: Tf, a: Tensor, { channels, groups }: LayerShape): Tensor {
  const [n, h, w] = a.shape as Shape4;
  const rows = tf.reshape(a, [n * h * w * groups, channels / groups]);
  return tf.reshape(tf.sum(rows, 1), [n, h, w, groups]);
}

function leaf({ inputs }: Scope, _args: readonly Operand[], { op }: Node): Tensor {
  const given = isInput(op) ? inputs[op] : undefined;
  if (!given) throw new Error(`internal: the graph reads ${op}, which is not given`);
  return given;
}

/** Every kind of node in TensorFlow.js. */
export const lowerings: { readonly [Name in Op]: Lowering<Name> } = {
  x: leaf,
  dy: leaf,
  v0: leaf,
  v1: leaf,
  gamma: leaf,
  beta: leaf,
  zero: ({ tf }) => tf.zeros([1, 1, 1, 1]),
  const: ({ tf }, _args, { value }) => tf.fill([1, 1, 1, 1], value),
  perElement: ({ tf, shape }, _args, { from, to }) =>
    tf.fill([1, 1, 1, 1], sizeOf(to, shape) / sizeOf(from, shape)),
  moving: ({ tf, statistics }, _args, { moment, slot }) =>
    moment === 'mean' ? tf.clone(statistics[slot]!) : rootEps(tf, statistics[slot]!),

  add: binary((tf, a, b) => tf.add(a, b)),
  mul: binary((tf, a, b) => tf.mul(a, b)),
  div: binary((tf, a, b, clear) => tf.div(a, clear ? b : guard(tf, b))),
  max: binary((tf, a, b) => tf.maximum(a, b)),
  neg: unary((tf, a) => tf.neg(a)),
  sigmoid: unary((tf, a) => tf.sigmoid(a)),
  tanh: unary((tf, a) => tf.tanh(a)),
  exp: unary((tf, a) => tf.exp(a)),
  log: unary((tf, a) => tf.mul(tf.sign(a), tf.log(tf.add(tf.abs(a), EPSILON)))),
  abs: unary((tf, a) => tf.abs(a)),
  square: unary((tf, a) => tf.square(a)),
  sqrt: unary((tf, a) => tf.mul(tf.sign(a), rootEps(tf, tf.abs(a)))),

  sign: unary((tf, a) => tf.sign(a)),
  step: binary(step),
  clear: unary((tf, a) => truth(tf, tf.greaterEqual(tf.abs(a), EPSILON))),

  mean: (scope, [a], { index }) => meanOver(index, a!, scope),
  rms: (scope, [a], { index }) => rootEps(scope.tf, meanSquare(index, a!, scope)),
  std: (scope, [a], { index }) => rootEps(scope.tf, variance(index, a!, scope)),
  sumTo: (scope, [a], node) => sumTo(a!, node, scope),
};

/** True for moments that are roots with ε below them. */
export const isClear = (node: Node): boolean =>
  node.op === 'rms' || node.op === 'std' || (node.op === 'moving' && node.moment !== 'mean');

/** The value of one node. */
export const lower = (scope: Scope, args: readonly Operand[], node: Node): Tensor =>
  (lowerings[node.op] as Lowering<Op>)(scope, args, node);
