import type { ImageShape, Network, NetworkOp } from './network.ts';

/** Blocks of one kind, one after the other. */
export interface InvertedStage {
  /** Channels inside a block per channel of its input. */
  readonly expansion: number;
  /** Of the blocks' outputs. */
  readonly channels: number;
  readonly blocks: number;
  /** Of the first block. */
  readonly stride: 1 | 2;
  /** Of the depthwise convolutions. */
  readonly kernel: number;
}

/** A network of inverted bottlenecks: what MobileNetV2 and EfficientNet have in common. */
export interface InvertedSpec {
  readonly name: string;
  readonly image: ImageShape;
  readonly classes: number;
  readonly stem: { readonly channels: number; readonly stride: 1 | 2 };
  readonly stages: readonly InvertedStage[];
  /** Channels of the last convolution. */
  readonly head: number;
  /** Channels of a block's input per value that its squeeze-excite has in between; without it there is none. */
  readonly squeeze?: number;
}

/**
 * Blocks are 1×1–L–depthwise–L–(squeeze-excite)–1×1, where L is the candidate layer; one that does not
 * widen has no first 1×1–L, and one that keeps the shape adds its input. Narrow ends stay linear. The stem, a
 * 3×3 convolution, and the head, a 1×1 convolution before pooling, have an L each.
 */
export function invertedBottlenecks(spec: InvertedSpec): Network {
  const ops: NetworkOp[] = [];
  const put = (op: NetworkOp): number => ops.push(op);
  const convLayer = (input: number, kernel: number, channels: number, stride: 1 | 2 = 1) =>
    put({ op: 'layer', input: put({ op: 'conv', input, kernel, stride, channels }) });

  let width = spec.stem.channels;
  const block = (input: number, stage: InvertedStage, stride: 1 | 2): number => {
    const { expansion, kernel, channels } = stage;
    const wide = expansion === 1 ? input : convLayer(input, 1, width * expansion);
    let inner = put({ op: 'layer', input: put({ op: 'depthwise', input: wide, kernel, stride }) });
    if (spec.squeeze) {
      const reduced = Math.max(1, Math.floor(width / spec.squeeze));
      inner = put({ op: 'squeezeExcite', input: inner, reduced });
    }
    const narrow = put({ op: 'conv', input: inner, kernel: 1, stride: 1, channels });
    const sameShape = stride === 1 && width === channels;
    width = channels;
    return sameShape ? put({ op: 'add', inputs: [narrow, input] }) : narrow;
  };

  let top = convLayer(0, 3, width, spec.stem.stride);
  for (const stage of spec.stages)
    for (let i = 0; i < stage.blocks; i++) top = block(top, stage, i ? 1 : stage.stride);
  const pooled = put({ op: 'pool', input: convLayer(top, 1, spec.head) });
  put({ op: 'dense', input: pooled, units: spec.classes });
  return { name: spec.name, image: spec.image, classes: spec.classes, ops };
}

/** A published network in another size. */
export interface Scaling {
  readonly name: string;
  readonly image: ImageShape;
  readonly classes: number;
  /** Factor of all channels. */
  readonly width: number;
  /** Factor of the blocks of each stage, 1 by default. */
  readonly depth?: number;
  /** How many of the first convolutions of stride 2 have stride 1, for small images; none by default. */
  readonly unstrided?: number;
}

/** `channels` · `width` as a multiple of 8, at least 8, and not more than a tenth below. */
export function scaleChannels(channels: number, width: number): number {
  const exact = channels * width;
  const rounded = Math.max(8, Math.floor((exact + 4) / 8) * 8);
  return rounded < 0.9 * exact ? rounded + 8 : rounded;
}

/** The stages of a published network, and its stem, which has stride 2, in the size that is wanted. */
export function scale(
  { stem, stages }: { readonly stem: number; readonly stages: readonly InvertedStage[] },
  { width, depth = 1, unstrided = 0 }: Scaling,
): Pick<InvertedSpec, 'stem' | 'stages'> {
  let whole = unstrided;
  const strideOf = (stride: 1 | 2): 1 | 2 => (stride === 2 && whole-- > 0 ? 1 : stride);
  return {
    stem: { channels: scaleChannels(stem, width), stride: strideOf(2) },
    stages: stages.map((stage) => ({
      ...stage,
      channels: scaleChannels(stage.channels, width),
      blocks: Math.ceil(stage.blocks * depth),
      stride: strideOf(stage.stride),
    })),
  };
}
