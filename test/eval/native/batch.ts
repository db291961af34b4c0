import type { Network } from '../../../src/eval/network.ts';
import { below, fillNormal, randomStream } from '../../../src/eval/random.ts';

/** A batch of noise with random labels. */
export function batchOf(network: Network, count: number, seed: number) {
  const rng = randomStream('engine test', seed);
  const { height, width, channels } = network.image;
  const images = new Float32Array(count * height * width * channels);
  fillNormal(images, 1, rng);
  const labels = Uint8Array.from({ length: count }, () => below(network.classes, rng));
  return { images, labels };
}
