import { expect, test } from 'vitest';
import { type Augmentation, BatchStream } from '../../src/eval/batches.ts';

const BLACK = -7;
const none: Augmentation = { pad: 0, flip: false };

/** Images of 2×3 pixels and 2 channels; image n holds n · 100, n · 100 + 1, … */
function numbered(count: number) {
  const image = { height: 2, width: 3, channels: 2 };
  const images = Float32Array.from(
    { length: count * 12 },
    (_, i) => 100 * Math.floor(i / 12) + (i % 12),
  );
  const labels = Uint8Array.from({ length: count }, (_, i) => i);
  return { split: { images, labels, count }, image, black: BLACK };
}

const take = (stream: BatchStream, batches: number) =>
  Array.from({ length: batches }, () => {
    const { images, labels } = stream.next();
    return { images: [...images], labels: [...labels] };
  });

test('a stream depends on its seed alone', () => {
  const augmentation = { pad: 1, flip: true };
  const stream = (seed: string) => take(new BatchStream(numbered(10), 4, augmentation, seed), 8);
  expect(stream('a')).toEqual(stream('a'));
  expect(stream('a')).not.toEqual(stream('b'));
});

test('every epoch has every image once, in a new order, also where batches do not divide it', () => {
  const labels = take(new BatchStream(numbered(10), 4, none, 's'), 10).flatMap((b) => b.labels);
  const epochs = [0, 1, 2, 3].map((e) => labels.slice(10 * e, 10 * e + 10));
  for (const epoch of epochs)
    expect([...epoch].sort((a, b) => a - b)).toEqual([...Array(10).keys()]);
  expect(new Set(epochs.map(String)).size).toBe(4);
});

test('images stay with their labels, and unchanged without augmentation', () => {
  for (const { images, labels } of take(new BatchStream(numbered(10), 4, none, 's'), 5))
    labels.forEach((label, slot) => {
      const expected = Array.from({ length: 12 }, (_, i) => 100 * label + i);
      expect(images.slice(12 * slot, 12 * slot + 12)).toEqual(expected);
    });
});

test('buffers are used again', () => {
  const stream = new BatchStream(numbered(10), 4, none, 's');
  expect(stream.next().images).toBe(stream.next().images);
});

/** What the augmentation of one image should give, said in another way: pad, mirror, cut out. */
function expectedViews({ pad, flip, crop }: Augmentation): string[] {
  const { split, image } = numbered(1);
  const [height, width] = crop === undefined ? [image.height, image.width] : [crop, crop];
  const pixel = (y: number, x: number) =>
    y < 0 || y >= image.height || x < 0 || x >= image.width
      ? [BLACK, BLACK]
      : [...split.images.subarray((y * image.width + x) * 2, (y * image.width + x) * 2 + 2)];
  const views: string[] = [];
  for (let top = -pad; top + height <= image.height + pad; top++)
    for (let left = -pad; left + width <= image.width + pad; left++) {
      const rows = [...Array(height).keys()].map((y) =>
        [...Array(width).keys()].map((x) => pixel(y + top, x + left)),
      );
      views.push(String(rows.flat(2)));
      if (flip) views.push(String(rows.map((row) => [...row].reverse()).flat(2)));
    }
  return views;
}

test.each([
  { pad: 1, flip: false },
  { pad: 0, flip: true },
  { pad: 1, flip: true },
  { pad: 2, flip: true },
  { pad: 0, flip: true, crop: 1 },
  { pad: 0, flip: false, crop: 2 },
  { pad: 1, flip: true, crop: 3 },
  { pad: 1, flip: false, crop: 4 },
])('crops and mirrors are all drawn, equally often, and nothing else: %o', (augmentation) => {
  const expected = expectedViews(augmentation);
  const draws = 400 * expected.length;
  const counts = new Map<string, number>();
  const stream = new BatchStream(numbered(1), 8, augmentation, 'support');
  for (let i = 0; i < draws / 8; i++) {
    const { images } = stream.next();
    const size = images.length / 8;
    for (let slot = 0; slot < 8; slot++) {
      const view = String([...images.subarray(size * slot, size * (slot + 1))]);
      counts.set(view, (counts.get(view) ?? 0) + 1);
    }
  }
  const share = new Map<string, number>();
  for (const view of expected) share.set(view, (share.get(view) ?? 0) + 400);
  expect([...counts.keys()].sort()).toEqual([...share.keys()].sort());
  // Five standard deviations.
  for (const [view, count] of counts)
    expect(Math.abs(count - share.get(view)!)).toBeLessThan(5 * Math.sqrt(share.get(view)!));
});
