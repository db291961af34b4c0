import type { Split } from './data.ts';
import type { ImageShape } from './network.ts';
import { below, type RandomGenerator, randomStream, shuffle } from './random.ts';
import { BatchCutter, DRAWN, type Draws, placesOf } from './views.ts';

export interface Augmentation {
  /** Pixels added on every side before an image is cut out at random. */
  readonly pad: number;
  /** Side of the square that is cut out; an image of the old size where nothing is said. */
  readonly crop?: number | undefined;
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
  readonly source: BatchSource;
  readonly augmentation: Augmentation;
  /** Images in a batch. */
  readonly size: number;
  readonly #order: Uint32Array;
  readonly #shuffling: RandomGenerator;
  readonly #augmenting: RandomGenerator;
  #cutter: BatchCutter | undefined;
  #position: number;

  constructor(source: BatchSource, size: number, augmentation: Augmentation, seed: string) {
    this.source = source;
    this.augmentation = augmentation;
    this.size = size;
    this.#order = Uint32Array.from({ length: source.split.count }, (_, i) => i);
    this.#shuffling = randomStream('order', seed);
    this.#augmenting = randomStream('augmentation', seed);
    this.#position = source.split.count;
  }

  /** The next batch. Its arrays are used again by the next call. */
  next(): Batch {
    this.#cutter ??= new BatchCutter(this.source, this.size, this.augmentation);
    return this.#cutter.cut(this.draw());
  }

  /** What the next batch takes, for those who have the images; it counts as a batch of the stream. */
  draw(): Draws {
    const draws = new Int32Array(this.size * DRAWN);
    const { rows, columns } = placesOf(this.source.image, this.augmentation);
    const rng = this.#augmenting;
    for (let i = 0; i < draws.length; i += DRAWN) {
      draws[i] = this.#nextImage();
      draws[i + 1] = rows > 1 ? below(rows, rng) : 0;
      draws[i + 2] = columns > 1 ? below(columns, rng) : 0;
      draws[i + 3] = this.augmentation.flip ? below(2, rng) : 0;
    }
    return draws;
  }

  #nextImage(): number {
    if (this.#position === this.#order.length) {
      shuffle(this.#order, this.#shuffling);
      this.#position = 0;
    }
    return this.#order[this.#position++]!;
  }
}
