import type { ImageShape, NetworkOp, ParameterKind } from './network.ts';
import { affine, affineBackward, pooledIndex } from './reference-affine.ts';
import { excite, exciteBackward } from './reference-excite.ts';

type PlainOp = Exclude<NetworkOp, { op: 'layer' }>;
type Conv = Extract<NetworkOp, { op: 'conv' }>;
type Depthwise = Extract<NetworkOp, { op: 'depthwise' }>;

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
      const y = new Float64Array(batch * outputPixels(op, shapes[op.input]!) * op.channels);
      convolve(op, shapes[op.input]!, batch, x, weights.conv!, y);
      return y;
    }
    case 'depthwise': {
      const [x, input] = [tensors[op.input]!, shapes[op.input]!];
      const y = new Float64Array(batch * outputPixels(op, input) * input.channels);
      convolveChannels(op, input, batch, (from, weight, to) => {
        y[to]! += x[from]! * weights.depthwise![weight]!;
      });
      return y;
    }
    case 'squeezeExcite':
      return excite(tensors[op.input]!, shapes[op.input]!, batch, weights).y;
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
    case 'dense':
      return affine(tensors[op.input]!, weights.dense!, weights.bias!, batch);
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
      convolveBack(op, shapes[op.input]!, batch, { x, w: weights.conv!, dy, dx, dw: own.conv! });
      break;
    }
    case 'depthwise': {
      const [x, dx] = [tensors[op.input]!, due[op.input]!];
      convolveChannels(op, shapes[op.input]!, batch, (from, weight, to) => {
        dx[from]! += dy[to]! * weights.depthwise![weight]!;
        own.depthwise![weight]! += dy[to]! * x[from]!;
      });
      break;
    }
    case 'squeezeExcite': {
      const [x, dx] = [tensors[op.input]!, due[op.input]!];
      exciteBackward(x, shapes[op.input]!, batch, weights, dy, dx, own);
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
      affineBackward(x, weights.dense!, dy, batch, dx, own.dense!, own.bias!);
      break;
    }
  }
}

type Visit = (from: number, weight: number, to: number) => void;

/** Adds every product of a convolution to `y`. Its loops stand here, for nearly all of the time is spent in them. */
function convolve(
  op: Conv,
  input: ImageShape,
  batch: number,
  x: Float64Array,
  w: Float64Array,
  y: Float64Array,
) {
  const [inputs, outputs] = [input.channels, op.channels];
  visitTaps(op, input, batch, (pixel, tap, out) => {
    for (let i = 0; i < inputs; i++) {
      const [a, row] = [x[pixel * inputs + i]!, (tap * inputs + i) * outputs];
      for (let o = 0; o < outputs; o++) y[out * outputs + o]! += a * w[row + o]!;
    }
  });
}

/** Adds the gradients of the same products to `dx` and `dw`. */
function convolveBack(
  op: Conv,
  input: ImageShape,
  batch: number,
  { x, w, dy, dx, dw }: Readonly<Record<'x' | 'w' | 'dy' | 'dx' | 'dw', Float64Array>>,
) {
  const [inputs, outputs] = [input.channels, op.channels];
  visitTaps(op, input, batch, (pixel, tap, out) => {
    for (let i = 0; i < inputs; i++) {
      const [from, row] = [pixel * inputs + i, (tap * inputs + i) * outputs];
      const a = x[from]!;
      let sum = dx[from]!;
      for (let o = 0; o < outputs; o++) {
        const d = dy[out * outputs + o]!;
        sum += d * w[row + o]!;
        dw[row + o]! += d * a;
      }
      dx[from] = sum;
    }
  });
}

/** Calls `visit` for every product of a convolution of every channel on its own, with the indices of its input, weight and output. */
function convolveChannels(op: Depthwise, input: ImageShape, batch: number, visit: Visit) {
  const { channels } = input;
  visitTaps(op, input, batch, (pixel, tap, out) => {
    for (let c = 0; c < channels; c++)
      visit(pixel * channels + c, tap * channels + c, out * channels + c);
  });
}

/** Calls `visit` for every pixel of the output and every pixel of the input that its window holds. */
function visitTaps(
  { kernel, stride }: Conv | Depthwise,
  input: ImageShape,
  batch: number,
  visit: (pixel: number, tap: number, out: number) => void,
) {
  const [height, width] = [Math.ceil(input.height / stride), Math.ceil(input.width / stride)];
  const pad = (kernel - 1) / 2;
  for (let n = 0; n < batch; n++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        for (let ky = 0; ky < kernel; ky++)
          for (let kx = 0; kx < kernel; kx++) {
            const [iy, ix] = [y * stride + ky - pad, x * stride + kx - pad];
            if (iy < 0 || iy >= input.height || ix < 0 || ix >= input.width) continue;
            const pixel = (n * input.height + iy) * input.width + ix;
            visit(pixel, ky * kernel + kx, (n * height + y) * width + x);
          }
}

const outputPixels = ({ stride }: Conv | Depthwise, { height, width }: ImageShape) =>
  Math.ceil(height / stride) * Math.ceil(width / stride);

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
