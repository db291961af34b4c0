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
    const { pad, flip } = this.#augmentation;
    const rng = this.#augmenting;
    const dy = pad ? below(2 * pad + 1, rng) - pad : 0;
    const dx = pad ? below(2 * pad + 1, rng) - pad : 0;
    const mirror = flip && below(2, rng) === 1;
    const { split, image, black } = this.#source;
    const size = image.height * image.width * image.channels;
    if (dy || dx || mirror)
      shifted(
        split.images,
        id * size,
        this.#batch.images,
        slot * size,
        image,
        black,
        dy,
        dx,
        mirror,
      );
    else this.#batch.images.set(split.images.subarray(id * size, (id + 1) * size), slot * size);
  }
}

/**
 * Pixel (y, x) of the result is pixel (y + dy, x + dx) of the image, or black where that lies outside;
 * a mirrored result has its columns in reverse. One flat loop over rows: this runs in every step.
 */
function shifted(
  from: Float32Array,
  start: number,
  to: Float32Array,
  target: number,
  { height, width, channels }: ImageShape,
  black: number,
  dy: number,
  dx: number,
  mirror: boolean,
) {
  const stride = width * channels;
  for (let y = 0; y < height; y++) {
    const sy = y + dy;
    const inside = sy >= 0 && sy < height;
    for (let x = 0; x < width; x++) {
      const sx = (mirror ? width - 1 - x : x) + dx;
      const source = start + sy * stride + sx * channels;
      const valid = inside && sx >= 0 && sx < width;
      for (let c = 0; c < channels; c++) to[target++] = valid ? from[source + c]! : black;
    }
  }
}
