import type { Augmentation, Batch, BatchSource } from './batches.ts';
import type { ImageShape } from './network.ts';

/** What is cut out of images. */
export const croppedShape = (
  image: ImageShape,
  { crop }: Pick<Augmentation, 'crop'>,
): ImageShape => (crop === undefined ? image : { ...image, height: crop, width: crop });

/** How many places there are for what is cut out of a padded image. */
export function placesOf(
  image: ImageShape,
  augmentation: Augmentation,
): { readonly rows: number; readonly columns: number } {
  const { height, width } = croppedShape(image, augmentation);
  const padding = 2 * augmentation.pad;
  return { rows: image.height + padding - height + 1, columns: image.width + padding - width + 1 };
}

/**
 * What a batch takes, four numbers for each of its images: which one it is, the row and the column of the padded
 * image that the view begins with, and 1 where the view is mirrored.
 */
export type Draws = Int32Array;
export const DRAWN = 4;

/** Cuts batches out of images in memory. */
export class BatchCutter {
  readonly #source: BatchSource;
  readonly #augmentation: Augmentation;
  /** Of the images in a batch. */
  readonly #shape: ImageShape;
  readonly #columns: number;
  readonly #batch: Batch;
  /** By position and mirroring, made when first drawn. */
  readonly #views: Int32Array[] = [];

  constructor(source: BatchSource, size: number, augmentation: Augmentation) {
    this.#source = source;
    this.#augmentation = augmentation;
    this.#shape = croppedShape(source.image, augmentation);
    this.#columns = placesOf(source.image, augmentation).columns;
    this.#batch = {
      images: new Float32Array(size * sizeOf(this.#shape)),
      labels: new Uint8Array(size),
    };
  }

  /** Its arrays are used again by the next call. */
  cut(draws: Draws): Batch {
    const { split, image, black } = this.#source;
    const { images, labels } = this.#batch;
    for (let slot = 0; slot < labels.length; slot++) {
      const at = slot * DRAWN;
      const id = draws[at]!;
      labels[slot] = split.labels[id]!;
      const view = this.#view(draws[at + 1]!, draws[at + 2]!, draws[at + 3]!);
      const target = slot * sizeOf(this.#shape);
      copyView(split.images, id * sizeOf(image), images, target, view, black);
    }
    return this.#batch;
  }

  #view(top: number, left: number, mirror: number): Int32Array {
    const { pad } = this.#augmentation;
    const { image } = this.#source;
    const index = (top * this.#columns + left) * 2 + mirror;
    this.#views[index] ??= viewOf(image, this.#shape, top - pad, left - pad, mirror === 1);
    return this.#views[index];
  }
}

const sizeOf = ({ height, width, channels }: ImageShape): number => height * width * channels;

/**
 * Where each value of a view of an image comes from: pixel (y, x) is pixel (y + dy, x + dx) of the image,
 * or −1 where that lies outside; a mirrored view has its columns in reverse.
 */
function viewOf(
  image: ImageShape,
  { height, width, channels }: ImageShape,
  dy: number,
  dx: number,
  mirror: boolean,
): Int32Array {
  const inside = (n: number, length: number) => n >= 0 && n < length;
  return Int32Array.from({ length: height * width * channels }, (_, i) => {
    const pixel = Math.floor(i / channels);
    const column = pixel % width;
    const y = Math.floor(pixel / width) + dy;
    const x = (mirror ? width - 1 - column : column) + dx;
    const valid = inside(y, image.height) && inside(x, image.width);
    return valid ? (y * image.width + x) * channels + (i % channels) : -1;
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
