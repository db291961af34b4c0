import type { Augmentation, BatchSource } from '../batches.ts';
import type { ImageShape } from '../network.ts';
import { BatchCutter, croppedShape, DRAWN, type Draws } from '../views.ts';
import type { Tensor, Tf } from './tensors.ts';

/** Makes a tensor [end − start, height, width, channels] of some of many images; it belongs to the caller. */
export type Images = (start: number, end: number) => Tensor;

/** Images that lie in memory, one behind the other. */
export const inMemory =
  (tf: Tf, images: Float32Array, { height, width, channels }: ImageShape): Images =>
  (start, end) => {
    const size = height * width * channels;
    const some = images.subarray(start * size, end * size);
    return tf.tensor4d(some, [end - start, height, width, channels]);
  };

/** What is kept on a device at most, of one source; some have no larger buffers. */
const RESIDENT_BYTES = 2 ** 30;

/** The images that batches are made of, for all sessions: on the device, or in memory where they are cut out there. */
export class HeldImages {
  readonly #tf: Tf;
  readonly #source: BatchSource;
  readonly #resident: Tensor | null;
  /** By size of the batch and augmentation. */
  readonly #cutters = new Map<string, BatchCutter>();

  constructor(tf: Tf, source: BatchSource, onDevice: boolean) {
    this.#tf = tf;
    this.#source = source;
    const { images, count } = source.split;
    const fits = images.byteLength <= RESIDENT_BYTES;
    this.#resident =
      onDevice && fits ? tf.keep(inMemory(tf, images, source.image)(0, count)) : null;
  }

  /** All of them, as they are. */
  get whole(): Images {
    const { split, image } = this.#source;
    const resident = this.#resident;
    if (!resident) return inMemory(this.#tf, split.images, image);
    const rest = resident.shape.slice(1);
    return (start, end) => this.#tf.slice(resident, [start, 0, 0, 0], [end - start, ...rest]);
  }

  /** The batch that `draws` names, to be used before the next one is asked for. */
  batch(draws: Draws, augmentation: Augmentation): { images: Images; labels: Uint8Array } {
    const { split, image } = this.#source;
    const resident = this.#resident;
    if (resident) {
      const labels = column(draws, 0).map((id) => split.labels[id]!);
      return {
        images: () => this.#cut(resident, draws, augmentation),
        labels: Uint8Array.from(labels),
      };
    }
    const { images, labels } = this.#cutter(draws.length / DRAWN, augmentation).cut(draws);
    return { images: inMemory(this.#tf, images, croppedShape(image, augmentation)), labels };
  }

  dispose(): void {
    this.#resident?.dispose();
  }

  /**
   * Takes whole images, pads them, then takes rows, then columns; only these numbers travel. All are taken along the
   * first axis: wasm takes wrong ones where each image has indices of its own.
   */
  #cut(resident: Tensor, draws: Draws, augmentation: Augmentation): Tensor {
    const tf = this.#tf;
    const { image, black } = this.#source;
    const { pad } = augmentation;
    const { height, width, channels } = croppedShape(image, augmentation);
    const count = draws.length / DRAWN;
    const [tall, wide] = [image.height + 2 * pad, image.width + 2 * pad];
    const rows = indices(draws, height, tall, ([, top], y) => top! + y);
    const columns = indices(
      ...([draws, width, wide] as const),
      ([, , left, mirror], x) => left! + (mirror === 1 ? width - 1 - x : x),
    );
    const margins = [0, pad, pad, 0].map((n): [number, number] => [n, n]);
    return tf.tidy(() => {
      const taken = tf.gather(resident, tf.tensor1d(column(draws, 0), 'int32'));
      const padded = pad > 0 ? tf.pad(taken, margins, black) : taken;
      const perRow = tf.reshape(padded, [count * tall, wide * channels]);
      const cut = tf.gather(perRow, tf.tensor1d(rows, 'int32'));
      const turned = tf.transpose(tf.reshape(cut, [count, height, wide, channels]), TURNED);
      const perColumn = tf.reshape(turned, [count * wide, height * channels]);
      const view = tf.gather(perColumn, tf.tensor1d(columns, 'int32'));
      return tf.transpose(tf.reshape(view, [count, width, height, channels]), TURNED);
    });
  }

  #cutter(size: number, augmentation: Augmentation): BatchCutter {
    const key = JSON.stringify([size, augmentation]);
    const cutter = this.#cutters.get(key) ?? new BatchCutter(this.#source, size, augmentation);
    this.#cutters.set(key, cutter);
    return cutter;
  }
}

/** Columns before rows, or back. */
const TURNED = [0, 2, 1, 3];

const column = (draws: Draws, which: number): Int32Array =>
  Int32Array.from({ length: draws.length / DRAWN }, (_, n) => draws[n * DRAWN + which]!);

/** For each image `length` of its `total` rows or columns, numbered from those of the first image on. */
function indices(
  draws: Draws,
  length: number,
  total: number,
  indexOf: (drawn: Draws, i: number) => number,
): Int32Array {
  const all = new Int32Array((draws.length / DRAWN) * length);
  for (let n = 0; n * DRAWN < draws.length; n++) {
    const drawn = draws.subarray(n * DRAWN, (n + 1) * DRAWN);
    for (let i = 0; i < length; i++) all[n * length + i] = n * total + indexOf(drawn, i);
  }
  return all;
}
