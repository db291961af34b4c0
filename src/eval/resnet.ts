import type { ImageShape, Network, NetworkOp } from './network.ts';

/** A pre-activation bottleneck ResNet (He et al. 2016, arXiv 1603.05027). */
export interface ResnetSpec {
  readonly name: string;
  readonly image: ImageShape;
  readonly classes: number;
  /** Channels of the stem and of the first stage's 3×3 convolutions; they double from stage to stage. */
  readonly width: number;
  /** Blocks per stage. */
  readonly stages: readonly number[];
  /** Channels of a block's output per channel of its 3×3 convolution. */
  readonly expansion: number;
  /** Kernel of the first convolution, 3 by default. */
  readonly stem?: number;
  /** Stride of each stage's first block; by default 1 for the first stage and 2 for the others. */
  readonly strides?: readonly (1 | 2)[];
}

/**
 * Blocks are L–1×1–L–3×3–L–1×1, where L is the candidate layer, and one more L stands before pooling.
 * Where a block changes the shape its shortcut is a 1×1 convolution of the block's first L; elsewhere it
 * is the identity. The stem has stride 1 and there is no max-pooling, as is usual for images of 32×32
 * pixels and less.
 */
export function resnet(spec: ResnetSpec): Network {
  const ops: NetworkOp[] = [];
  const put = (op: NetworkOp): number => ops.push(op);
  const layer = (input: number) => put({ op: 'layer', input });
  const conv = (input: number, kernel: number, channels: number, stride: 1 | 2 = 1) =>
    put({ op: 'conv', input, kernel, stride, channels });

  let channels = spec.width;
  const block = (input: number, inner: number, stride: 1 | 2): number => {
    const outer = inner * spec.expansion;
    const first = layer(input);
    const middle = layer(conv(first, 1, inner));
    const last = layer(conv(middle, 3, inner, stride));
    const residual = conv(last, 1, outer);
    const sameShape = stride === 1 && channels === outer;
    const shortcut = sameShape ? input : conv(first, 1, outer, stride);
    channels = outer;
    return put({ op: 'add', inputs: [residual, shortcut] });
  };

  let top = conv(0, spec.stem ?? 3, spec.width);
  spec.stages.forEach((blocks, stage) => {
    const stride = spec.strides?.[stage] ?? (stage === 0 ? 1 : 2);
    for (let i = 0; i < blocks; i++) top = block(top, spec.width * 2 ** stage, i ? 1 : stride);
  });
  put({ op: 'dense', input: put({ op: 'pool', input: layer(top) }), units: spec.classes });
  return { name: spec.name, image: spec.image, classes: spec.classes, ops };
}
