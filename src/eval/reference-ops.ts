import type { ImageShape, NetworkOp, ParameterKind } from './network.ts';

type PlainOp = Exclude<NetworkOp, { op: 'layer' }>;
type Conv = Extract<NetworkOp, { op: 'conv' }>;

/** The parameters of one operation, or their gradients, by kind. */
export type Slices = { [Kind in ParameterKind]?: Float64Array };

/** The output of an operation with the tensors before it. */
export function forwardOp(
  op: PlainOp,
  tensors: readonly Float64Array[],
  shapes: readonly ImageShape[],
  batch: number,
  weights: Slices,
): Float64Array {
  switch (op.op) {
    case 'conv': {
      const x = tensors[op.input]!;
      const y = new Float64Array(batch * outputSize(op, shapes[op.input]!));
      const w = weights.conv!;
      convolve(op, shapes[op.input]!, batch, (from, weight, to) => {
        y[to]! += x[from]! * w[weight]!;
      });
      return y;
    }
    case 'add':
      return tensors[op.inputs[0]]!.map((a, i) => a + tensors[op.inputs[1]]![i]!);
    case 'pool': {
      const { height, width, channels } = shapes[op.input]!;
      const y = new Float64Array(batch * channels);
      tensors[op.input]!.forEach((a, i) => {
        y[pooledIndex(i, shapes[op.input]!)]! += a / (height * width);
      });
      return y;
    }
    case 'dense': {
      const x = tensors[op.input]!;
      const y = new Float64Array(batch * op.units);
      multiply(x.length / batch, op.units, batch, (from, weight, to) => {
        y[to]! += x[from]! * weights.dense![weight]!;
      });
      return y.map((a, i) => a + weights.bias![i % op.units]!);
    }
  }
}

/** Adds what `dy`, the gradient of the operation's output, gives to its inputs in `due` and to its parameters in `own`. */
export function backwardOp(
  op: PlainOp,
  tensors: readonly Float64Array[],
  shapes: readonly ImageShape[],
  batch: number,
  weights: Slices,
  dy: Float64Array,
  due: readonly Float64Array[],
  own: Slices,
) {
  switch (op.op) {
    case 'conv': {
      const [x, dx] = [tensors[op.input]!, due[op.input]!];
      convolve(op, shapes[op.input]!, batch, (from, weight, to) => {
        dx[from]! += dy[to]! * weights.conv![weight]!;
        own.conv![weight]! += dy[to]! * x[from]!;
      });
      break;
    }
    case 'add':
      for (const input of op.inputs)
        dy.forEach((a, i) => {
          due[input]![i]! += a;
        });
      break;
    case 'pool': {
      const { height, width } = shapes[op.input]!;
      due[op.input]!.forEach((_, i, dx) => {
        dx[i]! += dy[pooledIndex(i, shapes[op.input]!)]! / (height * width);
      });
      break;
    }
    case 'dense': {
      const [x, dx] = [tensors[op.input]!, due[op.input]!];
      multiply(x.length / batch, op.units, batch, (from, weight, to) => {
        dx[from]! += dy[to]! * weights.dense![weight]!;
        own.dense![weight]! += dy[to]! * x[from]!;
      });
      dy.forEach((a, i) => {
        own.bias![i % op.units]! += a;
      });
      break;
    }
  }
}

/** Calls `visit` for every product of a convolution, with the indices of its input, weight and output. */
function convolve(
  { kernel, stride, channels }: Conv,
  input: ImageShape,
  batch: number,
  visit: (from: number, weight: number, to: number) => void,
) {
  const height = Math.ceil(input.height / stride);
  const width = Math.ceil(input.width / stride);
  const pad = (kernel - 1) / 2;
  for (let n = 0; n < batch; n++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        for (let ky = 0; ky < kernel; ky++)
          for (let kx = 0; kx < kernel; kx++) {
            const [iy, ix] = [y * stride + ky - pad, x * stride + kx - pad];
            if (iy < 0 || iy >= input.height || ix < 0 || ix >= input.width) continue;
            const from = ((n * input.height + iy) * input.width + ix) * input.channels;
            const tap = (ky * kernel + kx) * input.channels;
            const to = ((n * height + y) * width + x) * channels;
            for (let i = 0; i < input.channels; i++)
              for (let o = 0; o < channels; o++) visit(from + i, (tap + i) * channels + o, to + o);
          }
}

const outputSize = ({ stride, channels }: Conv, { height, width }: ImageShape) =>
  Math.ceil(height / stride) * Math.ceil(width / stride) * channels;

/** The same for a product with a matrix of [inputs, units]. */
function multiply(
  inputs: number,
  units: number,
  batch: number,
  visit: (from: number, weight: number, to: number) => void,
) {
  for (let n = 0; n < batch; n++)
    for (let i = 0; i < inputs; i++)
      for (let o = 0; o < units; o++) visit(n * inputs + i, i * units + o, n * units + o);
}

/** Where element `i` of a feature map goes when height and width are averaged away. */
const pooledIndex = (i: number, { height, width, channels }: ImageShape) =>
  Math.floor(i / (height * width * channels)) * channels + (i % channels);

/** Mean cross-entropy, its gradient by the logits, and how often the greatest logit is that of the label. */
export function softmaxLoss(logits: Float64Array, labels: Uint8Array) {
  const classes = logits.length / labels.length;
  const gradient = new Float64Array(logits.length);
  let loss = 0;
  let correct = 0;
  labels.forEach((label, n) => {
    const row = logits.subarray(n * classes, (n + 1) * classes);
    const top = Math.max(...row);
    const total = row.reduce((sum, logit) => sum + Math.exp(logit - top), 0);
    loss += (top + Math.log(total) - row[label]!) / labels.length;
    if (row.indexOf(top) === label) correct++;
    row.forEach((logit, k) => {
      const probability = Math.exp(logit - top) / total;
      gradient[n * classes + k] = (probability - Number(k === label)) / labels.length;
    });
  });
  return { loss, gradient, correct };
}
