import type { BatchSource } from '../batches.ts';
import type { TfjsThread } from './remote.ts';

/** A data set has images that train, and images that are classified. */
const MOST = 2;

/** What a thread holds of the images that it was given last, so that they are given once. */
export class Holdings {
  readonly #thread: TfjsThread;
  #held: readonly { readonly id: number; readonly images: Float32Array }[] = [];
  #next = 0;

  constructor(thread: TfjsThread) {
    this.#thread = thread;
  }

  /** Under which number the thread holds a source, whose content must stay as it is. */
  numberOf(source: BatchSource): number {
    const { images } = source.split;
    const held = this.#held.find((one) => one.images === images);
    if (held) return held.id;
    const id = this.#next++;
    const released = this.#held.slice(MOST - 1);
    this.#held = this.#held.slice(0, MOST - 1);
    for (const { id } of released) this.#thread.call('release', id);
    this.#thread.call('hold', id, source);
    this.#held = [{ id, images }, ...this.#held];
    return id;
  }
}
