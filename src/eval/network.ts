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
  /** The slot that a candidate layer fills. */
  | { readonly op: 'layer'; readonly input: number }
  | { readonly op: 'add'; readonly inputs: readonly [number, number] }
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

export type ParameterKind = 'conv' | 'dense' | 'bias' | 'v0' | 'v1' | 'gamma' | 'beta';

/** One parameter tensor inside the flat parameter vector. */
export interface Parameter {
  readonly kind: ParameterKind;
  /** Index of its operation. */
  readonly op: number;
  /** conv: [kh, kw, in, out]; dense: [in, out]; the others: [channels]. */
  readonly shape: readonly number[];
  readonly offset: number;
  readonly size: number;
}

/** The shape of every tensor of the network: index 0 is the image. Pooled and dense tensors are 1×1 images. */
export function tensorShapes(network: Network): ImageShape[] {
  const shapes: ImageShape[] = [network.image];
  for (const op of network.ops) {
    switch (op.op) {
      case 'conv': {
        const { height, width } = shapes[op.input]!;
        const out = (n: number) => Math.ceil(n / op.stride);
        shapes.push({ height: out(height), width: out(width), channels: op.channels });
        break;
      }
      case 'layer':
        shapes.push(shapes[op.input]!);
        break;
      case 'add':
        shapes.push(shapes[op.inputs[0]]!);
        break;
      case 'pool':
        shapes.push({ height: 1, width: 1, channels: shapes[op.input]!.channels });
        break;
      case 'dense':
        shapes.push({ height: 1, width: 1, channels: op.units });
        break;
    }
  }
  return shapes;
}

/**
 * Where each parameter stands in the flat vector: in order of operations; a layer has v0, v1 where the
 * candidate reads them, then γ and β; a dense operation has weights, then bias.
 */
export function parameterLayout(network: Network, layer: LayerGraph): Parameter[] {
  const shapes = tensorShapes(network);
  const parameters: Parameter[] = [];
  let offset = 0;
  const put = (kind: ParameterKind, op: number, shape: readonly number[]) => {
    const size = shape.reduce((a, b) => a * b, 1);
    parameters.push({ kind, op, shape, offset, size });
    offset += size;
  };
  const learned = (['v0', 'v1'] as const).filter((v) => layer.nodes.some((node) => node.op === v));
  network.ops.forEach((op, i) => {
    if (op.op === 'conv')
      put('conv', i, [op.kernel, op.kernel, shapes[op.input]!.channels, op.channels]);
    if (op.op === 'layer')
      for (const kind of [...learned, 'gamma', 'beta'] as const)
        put(kind, i, [shapes[op.input]!.channels]);
    if (op.op === 'dense') {
      put('dense', i, [shapes[op.input]!.channels, op.units]);
      put('bias', i, [op.units]);
    }
  });
  return parameters;
}
