import type { Split } from './data.ts';
import type { ImageShape } from './network.ts';
import { below, type RandomGenerator, randomStream, shuffle } from './random.ts';

export interface Augmentation {
  /** Pixels added on every side before an image of the old size is cut out at random. */
  readonly pad: number;
  /** Mirrors every second image, on average. */
  readonly flip: boolean;
}

export interface BatchSource {
  readonly split: Split;
  readonly image: ImageShape;
  /** What padding adds: the value of a black pixel. */
  readonly black: number;
}

export interface Batch {
  readonly images: Float32Array;
  readonly labels: Uint8Array;
}

/**
 * An endless stream of training batches that depends on `seed` alone. Every image comes once per epoch,
 * in a new order each time; a batch may hold the end of one epoch and the start of the next.
 */
export class BatchStream {
  readonly #source: BatchSource;
  readonly #augmentation: Augmentation;
  readonly #order: Uint32Array;
  readonly #shuffling: RandomGenerator;
  readonly #augmenting: RandomGenerator;
  readonly #batch: Batch;
  /** By position and mirroring, made when first drawn. */
  readonly #views: Int32Array[] = [];
  #position: number;

  constructor(source: BatchSource, size: number, augmentation: Augmentation, seed: string) {
    const { height, width, channels } = source.image;
    this.#source = source;
    this.#augmentation = augmentation;
    this.#order = Uint32Array.from({ length: source.split.count }, (_, i) => i);
    this.#shuffling = randomStream('order', seed);
    this.#augmenting = randomStream('augmentation', seed);
    this.#batch = {
      images: new Float32Array(size * height * width * channels),
      labels: new Uint8Array(size),
    };
    this.#position = source.split.count;
  }

  /** The next batch. Its arrays are used again by the next call. */
  next(): Batch {
    const { labels } = this.#batch;
    for (let slot = 0; slot < labels.length; slot++) {
      if (this.#position === this.#order.length) {
        shuffle(this.#order, this.#shuffling);
        this.#position = 0;
      }
      const id = this.#order[this.#position++] as number;
      labels[slot] = this.#source.split.labels[id] as number;
      this.#copy(id, slot);
    }
    return this.#batch;
  }

  #copy(id: number, slot: number) {
    const { split, image, black } = this.#source;
    const view = this.#randomView();
    const size = image.height * image.width * image.channels;
    copyView(split.images, id * size, this.#batch.images, slot * size, view, black);
  }

  #randomView(): Int32Array {
    const { pad, flip } = this.#augmentation;
    const side = 2 * pad + 1;
    const rng = this.#augmenting;
    const top = pad ? below(side, rng) : 0;
    const left = pad ? below(side, rng) : 0;
    const mirror = flip ? below(2, rng) : 0;
    const index = (top * side + left) * 2 + mirror;
    this.#views[index] ??= viewOf(this.#source.image, top - pad, left - pad, mirror === 1);
    return this.#views[index];
  }
}

/**
 * Where each value of a view of an image comes from: pixel (y, x) is pixel (y + dy, x + dx) of the image,
 * or −1 where that lies outside; a mirrored view has its columns in reverse.
 */
function viewOf(image: ImageShape, dy: number, dx: number, mirror: boolean): Int32Array {
  const { height, width, channels } = image;
  const inside = (n: number, length: number) => n >= 0 && n < length;
  return Int32Array.from({ length: height * width * channels }, (_, i) => {
    const pixel = Math.floor(i / channels);
    const column = pixel % width;
    const y = Math.floor(pixel / width) + dy;
    const x = (mirror ? width - 1 - column : column) + dx;
    const valid = inside(y, height) && inside(x, width);
    return valid ? (y * width + x) * channels + (i % channels) : -1;
  });
}

/** A plain loop in a function of its own: it runs for every image of every step. */
function copyView(
  from: Float32Array,
  start: number,
  to: Float32Array,
  target: number,
  view: Int32Array,
  black: number,
) {
  for (let i = 0; i < view.length; i++) {
    const source = view[i]!;
    to[target + i] = source < 0 ? black : from[start + source]!;
  }
}
