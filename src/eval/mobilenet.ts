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
  channels: number,
  blocks: number,
  stride: 1 | 2,
): InvertedStage => ({ expansion, channels, blocks, stride, kernel: 3 });

/** The paper's t, c, n, s (table 2). */
const STAGES: readonly InvertedStage[] = [
  stage(1, 16, 1, 1),
  stage(6, 24, 2, 2),
  stage(6, 32, 3, 2),
  stage(6, 64, 4, 2),
  stage(6, 96, 3, 1),
  stage(6, 160, 3, 2),
  stage(6, 320, 1, 1),
];

/**
 * MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381). As there, factors below 1 leave the last
 * convolution alone.
 */
export const mobilenetV2 = (spec: Scaling): Network =>
  invertedBottlenecks({
    ...spec,
    ...scale({ stem: 32, stages: STAGES }, spec),
    head: scaleChannels(1280, Math.max(1, spec.width)),
  });
