import { describe, expect, it, vi } from 'vitest';
import { type Augmentation, type BatchSource, BatchStream } from '../../../src/eval/batches.ts';
import { HeldImages } from '../../../src/eval/tfjs/images.ts';
import type { Tensor } from '../../../src/eval/tfjs/tensors.ts';
import { loadedFor, TESTED } from './backends.ts';

vi.setConfig({ testTimeout: 60_000 });

const AUGMENTATIONS: readonly Augmentation[] = [
  { pad: 0, flip: false },
  { pad: 2, flip: true },
  { pad: 0, flip: true, crop: 3 },
  { pad: 1, flip: true, crop: 5 },
];

/** Images of 5×6 pixels, whose values single precision has not exactly; nor has it that of black. */
function sourceOf(count: number): BatchSource {
  const image = { height: 5, width: 6, channels: 3 };
  const images = Float32Array.from({ length: count * 90 }, (_, i) => Math.sin(i) / 3);
  const labels = Uint8Array.from({ length: count }, (_, i) => i % 10);
  return { split: { images, labels, count }, image, black: -1.1 };
}

const bitsOf = (images: ArrayBufferView) =>
  Buffer.from(images.buffer, images.byteOffset, images.byteLength).toString('hex');

describe.each(TESTED)('images on TensorFlow.js, %s', (backend) => {
  const loaded = loadedFor(backend);

  const taken = async (tensor: Tensor) => {
    const bits = bitsOf(await tensor.data());
    tensor.dispose();
    return bits;
  };

  describe.each([true, false])('kept on the device: %s', (onDevice) => {
    it.each(AUGMENTATIONS)('batches with %j are those of the stream, to the bit', async (how) => {
      const source = sourceOf(11);
      const held = new HeldImages(loaded(), source, onDevice);
      const [stream, drawn] = [0, 1].map(() => new BatchStream(source, 4, how, 'seed'));
      for (let step = 0; step < 6; step++) {
        const want = stream!.next();
        const { images, labels } = held.batch(drawn!.draw(), how);
        const tensor = images(0, 4);
        expect(tensor.shape).toEqual([4, how.crop ?? 5, how.crop ?? 6, 3]);
        expect(await taken(tensor)).toBe(bitsOf(want.images));
        expect([...labels]).toEqual([...want.labels]);
      }
      held.dispose();
    });

    it('whole images are what was given', async () => {
      const source = sourceOf(7);
      const held = new HeldImages(loaded(), source, onDevice);
      const tensor = held.whole(2, 6);
      expect(tensor.shape).toEqual([4, 5, 6, 3]);
      expect(await taken(tensor)).toBe(bitsOf(source.split.images.subarray(2 * 90, 6 * 90)));
      held.dispose();
    });
  });

  it('on the device they are one tensor, and nothing is left of batches', () => {
    const tf = loaded();
    const before = tf.memory().numTensors;
    const held = new HeldImages(tf, sourceOf(11), true);
    const stream = new BatchStream(sourceOf(11), 4, AUGMENTATIONS[1]!, 'seed');
    for (let step = 0; step < 3; step++) {
      held.batch(stream.draw(), AUGMENTATIONS[1]!).images(0, 4).dispose();
      expect(tf.memory().numTensors).toBe(before + 1);
    }
    held.dispose();
  });
});
