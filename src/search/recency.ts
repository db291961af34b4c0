import { LRUCache } from 'lru-cache';

/**
 * The functions that were proposed last, `capacity` of them at most. As every proposal counts, these follow
 * from the order of the proposals alone: the functions with the latest last proposals.
 */
export class Recency {
  readonly #keys: LRUCache<string, true>;

  /** `oldestFirst`: those that were proposed so far, each once, in the order of their last proposals. */
  constructor(capacity: number, oldestFirst: Iterable<string>) {
    // By size: with a number of entries, memory for all of them would be taken at once.
    this.#keys = new LRUCache({ maxSize: capacity, sizeCalculation: () => 1 });
    for (const key of oldestFirst) this.#keys.set(key, true);
  }

  /** Notes that a function is proposed. True where it was there before. */
  touch(functionalKey: string): boolean {
    if (this.#keys.get(functionalKey)) return true;
    this.#keys.set(functionalKey, true);
    return false;
  }
}
