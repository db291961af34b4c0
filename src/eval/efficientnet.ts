import {
  type InvertedStage,
  invertedBottlenecks,
  type Scaling,
  scale,
  scaleChannels,
} from './inverted.ts';
import type { Network } from './network.ts';

const stage = (
  expansion: number,
  kernel: number,
  stride: 1 | 2,
  channels: number,
  blocks: number,
): InvertedStage => ({ expansion, channels, blocks, stride, kernel });

/** The stages of B0 (the paper's table 1; expansions and strides from its authors' code). */
const STAGES: readonly InvertedStage[] = [
  stage(1, 3, 1, 16, 1),
  stage(6, 3, 2, 24, 2),
  stage(6, 5, 2, 40, 2),
  stage(6, 3, 2, 80, 3),
  stage(6, 5, 1, 112, 3),
  stage(6, 5, 2, 192, 4),
  stage(6, 3, 1, 320, 1),
];

/** EfficientNet-B0 (Tan and Le 2019, arXiv 1905.11946), without dropout and stochastic depth. */
export const efficientnetB0 = (spec: Scaling): Network =>
  invertedBottlenecks({
    ...spec,
    ...scale({ stem: 32, stages: STAGES }, spec),
    head: scaleChannels(1280, spec.width),
    squeeze: 4,
  });
