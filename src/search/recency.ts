import { LRUCache } from 'lru-cache';

/**
 * The functions that were proposed last, `capacity` of them at most. As every proposal counts, these follow
 * from the order of the proposals alone: the functions with the latest last proposals.
 *
 * As long as there were no more proposals than that, nothing can have been forgotten, and nothing is kept.
 */
export class Recency {
  readonly #capacity: number;
  /** How many proposals there were, or more. */
  #proposals: number;
  #keys: LRUCache<string, true> | null = null;

  constructor(capacity: number, proposals: number) {
    this.#capacity = capacity;
    this.#proposals = proposals;
  }

  /**
   * Notes that a function is proposed. False where it was proposed before and is forgotten; what this is for
   * a function that is new says nothing. `past` gives the functions of the proposals before in their order;
   * what lies before the last `capacity` different ones may be left out.
   */
  touch(functionalKey: string, past: () => Iterable<string>): boolean {
    if (!this.#keys) {
      if (++this.#proposals <= this.#capacity) return true;
      this.#keys = new LRUCache({ max: this.#capacity });
      for (const key of past()) this.#keys.set(key, true);
    }
    const isThere = this.#keys.get(functionalKey) === true;
    if (!isThere) this.#keys.set(functionalKey, true);
    return isThere;
  }
}
