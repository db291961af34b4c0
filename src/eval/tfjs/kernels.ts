import type { Shape4, Tensor, Tf } from './tensors.ts';

/*
 * Kernels that the wasm backend lacks (the gradients of filters and of depthwise convolutions), that are slow
 * there (the gradient of a convolution's input, comparisons that broadcast), or wrong (a maximum that loses NaN,
 * which would hide that a network diverges; a sign that is 0 for all below 1.2e-7). All are made of what it does
 * fast: convolutions and additions.
 */

type Attributes = Readonly<Record<string, unknown>>;
type Inputs = Readonly<Record<string, Tensor>>;

/** A convolution as `computeConv2DInfo` describes it. */
interface Geometry {
  readonly strideHeight: number;
  readonly strideWidth: number;
  readonly filterHeight: number;
  readonly filterWidth: number;
  readonly padInfo: { readonly top: number; readonly left: number };
}

function geometryOf(
  tf: Tf,
  inputShape: Shape4,
  filterShape: Shape4,
  { strides, pad }: Attributes,
  depthwise: boolean,
): Geometry {
  const { computeConv2DInfo } = tf.backend_util;
  return computeConv2DInfo(
    ...[inputShape, filterShape, strides as [number, number], 1],
    ...([pad as 'same', undefined, depthwise] as const),
  );
}

/** Zeros in front of and behind an axis; fewer than none cut values off. */
function reframe(
  tf: Tf,
  x: Tensor,
  [top, bottom]: [number, number],
  [left, right]: [number, number],
) {
  const zeros = (n: number) => Math.max(0, n);
  const framed = tf.pad(x, [
    [0, 0],
    [zeros(top), zeros(bottom)],
    [zeros(left), zeros(right)],
    [0, 0],
  ]);
  if (Math.min(top, bottom, left, right) >= 0) return framed;
  const [n, h, w, c] = framed.shape as Shape4;
  const cut = (n: number) => Math.max(0, -n);
  const size: Shape4 = [n, h - cut(top) - cut(bottom), w - cut(left) - cut(right), c];
  return tf.slice(framed, [0, cut(top), cut(left), 0], size);
}

/** Zeros between the rows and columns, so that a stride of the forward pass is one of 1 backward. */
function spread(tf: Tf, dy: Tensor, strideHeight: number, strideWidth: number): Tensor {
  const [n, h, w, c] = dy.shape as Shape4;
  const columns = tf.pad(tf.reshape(dy, [n * h * w, 1, c]), [
    [0, 0],
    [0, strideWidth - 1],
    [0, 0],
  ]);
  const rows = tf.pad(tf.reshape(columns, [n * h, 1, w * strideWidth * c]), [
    [0, 0],
    [0, strideHeight - 1],
    [0, 0],
  ]);
  return tf.reshape(rows, [n, h * strideHeight, w * strideWidth, c]);
}

/** dy, with zeros around it so that a convolution with the turned filter gives the gradient of the input. */
function framedGradient(tf: Tf, dy: Tensor, inputShape: Shape4, g: Geometry): Tensor {
  const wide = spread(tf, dy, g.strideHeight, g.strideWidth);
  const [, height, width] = wide.shape as Shape4;
  const top = g.filterHeight - 1 - g.padInfo.top;
  const left = g.filterWidth - 1 - g.padInfo.left;
  return reframe(
    tf,
    wide,
    [top, inputShape[1] + g.filterHeight - 1 - height - top],
    [left, inputShape[2] + g.filterWidth - 1 - width - left],
  );
}

function convInput(tf: Tf, { dy, filter }: Inputs, attrs: Attributes): Tensor {
  const inputShape = attrs.inputShape as Shape4;
  const g = geometryOf(tf, inputShape, filter!.shape as Shape4, attrs, false);
  const turned = tf.transpose(tf.reverse(filter!, [0, 1]), [0, 1, 3, 2]);
  return tf.conv2d(framedGradient(tf, dy!, inputShape, g) as never, turned as never, 1, 'valid');
}

function depthwiseInput(tf: Tf, { dy, filter }: Inputs, attrs: Attributes): Tensor {
  const inputShape = attrs.inputShape as Shape4;
  const g = geometryOf(tf, inputShape, filter!.shape as Shape4, attrs, true);
  const turned = tf.reverse(filter!, [0, 1]);
  const framed = framedGradient(tf, dy!, inputShape, g);
  return tf.depthwiseConv2d(framed as never, turned as never, 1, 'valid');
}

/** x, framed so that a convolution with dy, its values `stride` apart, has as many places as the filter. */
function framedInput(tf: Tf, x: Tensor, dy: Tensor, g: Geometry): Tensor {
  const [, height, width] = x.shape as Shape4;
  const [, outHeight, outWidth] = dy.shape as Shape4;
  const rows = (outHeight - 1) * g.strideHeight + g.filterHeight;
  const columns = (outWidth - 1) * g.strideWidth + g.filterWidth;
  const { top, left } = g.padInfo;
  return reframe(tf, x, [top, rows - height - top], [left, columns - width - left]);
}

/** The sum over images and places is a convolution of x with dy, whose channels of input are the images. */
function convFilter(tf: Tf, { x, dy }: Inputs, attrs: Attributes): Tensor {
  const g = geometryOf(tf, x!.shape as Shape4, attrs.filterShape as Shape4, attrs, false);
  const images = tf.transpose(framedInput(tf, x!, dy!, g), [3, 1, 2, 0]);
  const filter = tf.transpose(dy!, [1, 2, 0, 3]);
  const dilations: [number, number] = [g.strideHeight, g.strideWidth];
  const places = tf.conv2d(images as never, filter as never, 1, 'valid', 'NHWC', dilations);
  return tf.transpose(places, [1, 2, 0, 3]);
}

/** The same for every channel of every image on its own, then summed over the images. */
function depthwiseFilter(tf: Tf, { x, dy }: Inputs, attrs: Attributes): Tensor {
  const filterShape = attrs.filterShape as Shape4;
  const g = geometryOf(tf, x!.shape as Shape4, filterShape, attrs, true);
  if (filterShape[3] !== 1)
    throw new Error(`internal: ${filterShape[3]} filters for a channel, not one`);
  const flat = (a: Tensor): Tensor => {
    const [n, h, w, c] = a.shape as Shape4;
    return tf.reshape(tf.transpose(a, [1, 2, 0, 3]), [h, w, n * c]);
  };
  const filter = tf.expandDims(flat(dy!), 3);
  const dilations: [number, number] = [g.strideHeight, g.strideWidth];
  const input = tf.expandDims(flat(framedInput(tf, x!, dy!, g)), 0);
  const [n, , , c] = x!.shape as Shape4;
  const places = tf.depthwiseConv2d(
    ...([input as never, filter as never, 1, 'valid', 'NHWC'] as const),
    dilations,
  );
  const perImage = tf.reshape(places, [g.filterHeight * g.filterWidth, n, c]);
  return tf.reshape(tf.sum(perImage, 1), filterShape);
}

const MADE: Readonly<Record<string, (tf: Tf, inputs: Inputs, attrs: Attributes) => Tensor>> = {
  Conv2DBackpropInput: convInput,
  Conv2DBackpropFilter: convFilter,
  DepthwiseConv2dNativeBackpropInput: depthwiseInput,
  DepthwiseConv2dNativeBackpropFilter: depthwiseFilter,
};

type Binary = (a: Tensor, b: Tensor) => Tensor;

/** Lays both arguments out in full; adding zeros is faster than any broadcast of such a kernel. */
const laidOut =
  (tf: Tf, kernel: Binary): Binary =>
  (a, b) => {
    if (tf.util.arraysEqual(a.shape, b.shape)) return kernel(a, b);
    const zeros = tf.zeros(tf.backend_util.assertAndGetBroadcastShape(a.shape, b.shape));
    return kernel(tf.add(a, zeros), tf.add(b, zeros));
  };

/** `a < b ? b : a` loses a NaN in b, so that both orders are taken. */
const keepingNan =
  (tf: Tf, kernel: Binary): Binary =>
  (a, b) =>
    tf.mul(tf.add(kernel(a, b), kernel(b, a)), 0.5);

type Work = (inputs: Inputs, attrs: Attributes) => Tensor;

/** Registers a kernel in place of the backend's own, where it has one. */
function register(tf: Tf, backendName: string, kernelName: string, work: Work): void {
  if (tf.getKernel(kernelName, backendName)) tf.unregisterKernel(kernelName, backendName);
  // The engine hands tensors to kernels, and takes tensors from them, whatever their types say.
  const kernelFunc = ({ inputs, attrs }: { inputs: object; attrs?: object }) =>
    tf.tidy(() => work(inputs as Inputs, (attrs ?? {}) as Attributes));
  tf.registerKernel({ kernelName, backendName, kernelFunc } as never);
}

/** The backend's own kernel, as a function. */
function ownKernel(tf: Tf, backendName: string, kernelName: string) {
  const { kernelFunc } = tf.getKernel(kernelName, backendName);
  return (inputs: Inputs): Tensor => {
    const made = kernelFunc({ inputs, backend: tf.backend(), attrs: {} } as never);
    return tf.engine().makeTensorFromTensorInfo(made as never);
  };
}

/** Registers kernels for the wasm backend, which must be loaded, in place of its own where it has some. */
export function mendWasm(tf: Tf): void {
  for (const [name, made] of Object.entries(MADE))
    register(tf, 'wasm', name, (inputs, attrs) => made(tf, inputs, attrs));
  for (const name of ['Maximum', 'Greater', 'GreaterEqual', 'Less']) {
    const own = ownKernel(tf, 'wasm', name);
    const pair: Binary = (a, b) => own({ a, b });
    const kernel = laidOut(tf, name === 'Maximum' ? keepingNan(tf, pair) : pair);
    register(tf, 'wasm', name, ({ a, b }) => kernel(a!, b!));
  }
  register(tf, 'wasm', 'Sign', ({ x }) => tf.sub(tf.step(x!), tf.step(tf.neg(x!))));
}

/** Registers kernels for the WebGPU backend, whose own make numbers of NaN. */
export function mendWebGpu(tf: Tf): void {
  for (const name of ['Sigmoid', 'Log']) {
    const own = ownKernel(tf, 'webgpu', name);
    register(tf, 'webgpu', name, ({ x }) => tf.where(tf.isNaN(x!), x!, own({ x: x! })));
  }
}
