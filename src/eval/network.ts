import type { LayerGraph } from '../graph/graph.ts';

/** Height, width and channels of an image or feature map. */
export interface ImageShape {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

/**
 * One operation. Tensor 0 is the image; operation i writes tensor i + 1. Convolutions have odd kernels,
 * zero padding of (kernel − 1) / 2 on every side, and no bias.
 */
export type NetworkOp =
  | {
      readonly op: 'conv';
      readonly input: number;
      readonly kernel: number;
      readonly stride: 1 | 2;
      readonly channels: number;
    }
  /** A convolution of every channel on its own. */
  | {
      readonly op: 'depthwise';
      readonly input: number;
      readonly kernel: number;
      readonly stride: 1 | 2;
    }
  /** The slot that a candidate layer fills. */
  | { readonly op: 'layer'; readonly input: number }
  | { readonly op: 'add'; readonly inputs: readonly [number, number] }
  /**
   * x · sigmoid(expandᵀ·silu(reduceᵀ·m + reduceBias) + expandBias) with m = mean of x over height and
   * width: one factor for every channel of an image (Hu et al. 2018, arXiv 1709.01507), with `reduced`
   * values in between.
   */
  | { readonly op: 'squeezeExcite'; readonly input: number; readonly reduced: number }
  /** Mean over height and width. */
  | { readonly op: 'pool'; readonly input: number }
  /** Fully connected, with bias, on a pooled tensor. */
  | { readonly op: 'dense'; readonly input: number; readonly units: number };

/** A classification network as data; the last operation's tensor holds the logits. */
export interface Network {
  readonly name: string;
  readonly image: ImageShape;
  readonly classes: number;
  readonly ops: readonly NetworkOp[];
}

export type LayerParameter = 'v0' | 'v1' | 'gamma' | 'beta';

export type ParameterKind =
  | 'conv'
  | 'depthwise'
  | 'reduce'
  | 'reduceBias'
  | 'expand'
  | 'expandBias'
  | 'dense'
  | 'bias'
  | 'v0'
  | 'v1'
  | 'gamma'
  | 'beta';

/** What weight decay shrinks. */
export const DECAYED: ReadonlySet<ParameterKind> = new Set<ParameterKind>([
  'conv',
  'depthwise',
  'reduce',
  'expand',
  'dense',
]);

/** One parameter tensor inside the flat parameter vector. */
export interface Parameter {
  readonly kind: ParameterKind;
  /** Index of its operation. */
  readonly op: number;
  /**
   * conv: [kh, kw, in, out]; depthwise: [kh, kw, channels]; reduce: [channels, reduced]; expand:
   * [reduced, channels]; dense: [in, out]; the others: one value for each output.
   */
  readonly shape: readonly number[];
  readonly offset: number;
  readonly size: number;
}

/** The shape of every tensor of the network: index 0 is the image. Pooled and dense tensors are 1×1 images. */
export function tensorShapes(network: Network): ImageShape[] {
  const shapes: ImageShape[] = [network.image];
  for (const op of network.ops) shapes.push(outputShape(op, shapes));
  return shapes;
}

function outputShape(op: NetworkOp, shapes: readonly ImageShape[]): ImageShape {
  if (op.op === 'add') return shapes[op.inputs[0]]!;
  const input = shapes[op.input]!;
  switch (op.op) {
    case 'conv':
      return { ...strided(input, op.stride), channels: op.channels };
    case 'depthwise':
      return strided(input, op.stride);
    case 'layer':
    case 'squeezeExcite':
      return input;
    case 'pool':
      return { height: 1, width: 1, channels: input.channels };
    case 'dense':
      return { height: 1, width: 1, channels: op.units };
  }
}

const strided = ({ height, width, channels }: ImageShape, stride: 1 | 2): ImageShape => ({
  height: Math.ceil(height / stride),
  width: Math.ceil(width / stride),
  channels,
});

/**
 * Where each parameter stands in the flat vector: in order of operations; a layer has v0, v1 where the
 * candidate reads them, then γ and β; the others have their parameters in the order of `ownParameters`.
 */
export function parameterLayout(network: Network, layer: LayerGraph): Parameter[] {
  const shapes = tensorShapes(network);
  const ofLayer = layerParameters(layer);
  const parameters: Parameter[] = [];
  let offset = 0;
  for (const [i, op] of network.ops.entries()) {
    if (op.op === 'add') continue;
    for (const [kind, shape] of ownParameters(op, shapes[op.input]!.channels, ofLayer)) {
      const size = shape.reduce((a, b) => a * b, 1);
      parameters.push({ kind, op: i, shape, offset, size });
      offset += size;
    }
  }
  return parameters;
}

/** The parameters of a slot that `layer` stands in, in order. */
export const layerParameters = (layer: LayerGraph): LayerParameter[] => [
  ...(['v0', 'v1'] as const).filter((v) => layer.nodes.some((node) => node.op === v)),
  'gamma',
  'beta',
];

/** Kinds and shapes of the parameters of an operation on so many channels. */
function ownParameters(
  op: Exclude<NetworkOp, { op: 'add' }>,
  channels: number,
  ofLayer: readonly LayerParameter[],
): (readonly [ParameterKind, readonly number[]])[] {
  switch (op.op) {
    case 'conv':
      return [['conv', [op.kernel, op.kernel, channels, op.channels]]];
    case 'depthwise':
      return [['depthwise', [op.kernel, op.kernel, channels]]];
    case 'squeezeExcite':
      return [
        ['reduce', [channels, op.reduced]],
        ['reduceBias', [op.reduced]],
        ['expand', [op.reduced, channels]],
        ['expandBias', [channels]],
      ];
    case 'layer':
      return ofLayer.map((kind) => [kind, [channels]]);
    case 'pool':
      return [];
    case 'dense':
      return [
        ['dense', [channels, op.units]],
        ['bias', [op.units]],
      ];
  }
}
