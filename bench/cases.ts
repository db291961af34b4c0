import { ANCHORS } from '../src/eval/anchors.ts';
import type { Batch } from '../src/eval/batches.ts';
import type { TrainingSetup } from '../src/eval/engine.ts';
import { initialParameters } from '../src/eval/initial.ts';
import type { ImageShape, Network } from '../src/eval/network.ts';
import { below, fillNormal, randomStream } from '../src/eval/random.ts';
import { resnet } from '../src/eval/resnet.ts';
import type { BenchLayer } from './layers.ts';

/** A network and the batch that it is trained on. */
export interface BenchNetwork {
  readonly name: string;
  readonly size: 'mini' | 'width 16';
  readonly network: Network;
  readonly batch: number;
}

const CLASSES = 10;
/** Fashion-MNIST in the quick preset. */
const MINI_IMAGE: ImageShape = { height: 14, width: 14, channels: 1 };
const MINI_BATCH = 32;

const wide = (side: number, batch: number): BenchNetwork => {
  const name = `width 16, ${side}×${side}`;
  const image = { height: side, width: side, channels: 3 };
  const spec = { name, image, classes: CLASSES, width: 16, stages: [1, 1, 1], expansion: 2 };
  return { name, size: 'width 16', network: resnet(spec), batch };
};

/** Every mini anchor, and a residual network of width 16 on two sizes of images. */
export const NETWORKS: readonly BenchNetwork[] = [
  ...[...ANCHORS]
    .filter(([name]) => name.startsWith('mini-'))
    .map(([name, { network }]) => ({
      name,
      size: 'mini' as const,
      network: network(MINI_IMAGE, CLASSES),
      batch: MINI_BATCH,
    })),
  wide(16, 64),
  wide(24, 128),
];

/** Small steps: weights move, and no layer of the benchmark diverges. */
export const SETTINGS = {
  learningRate: 0.01,
  momentum: 0.9,
  weightDecay: 1e-4,
  groups: 8,
  movingDecay: 0.9,
} as const;

/** All that decides a training; two engines given the same one do the same. */
export interface TrainingCase {
  readonly name: string;
  readonly network: Network;
  readonly layer: BenchLayer;
  readonly setup: TrainingSetup;
  readonly parameters: Float32Array;
  /** Used in turn. */
  readonly batches: readonly Batch[];
}

const BATCHES = 4;

export function trainingCase({ name, network, batch }: BenchNetwork, layer: BenchLayer) {
  const { learningRate: _, ...settings } = SETTINGS;
  return {
    name: `${name}: ${layer.name}`,
    network,
    layer,
    setup: { ...settings, batch },
    parameters: initialParameters(network, layer.layer, 'bench'),
    batches: Array.from({ length: BATCHES }, (_, i) => randomBatch(network, batch, i)),
  } satisfies TrainingCase;
}

/** Normal pixels, labels at random. */
export function randomBatch({ image, classes }: Network, count: number, seed: number): Batch {
  const rng = randomStream('bench batch', seed);
  const images = new Float32Array(count * image.height * image.width * image.channels);
  fillNormal(images, 1, rng);
  return { images, labels: Uint8Array.from({ length: count }, () => below(classes, rng)) };
}
