import { setTimeout } from 'node:timers/promises';

/** Where a search takes time from. */
export interface Clock {
  /** Milliseconds that only go forward. */
  readonly now: () => number;
  readonly date: () => Date;
  /** Resolves after so many milliseconds, or as soon as `signal` is aborted. Never rejects. */
  readonly wait: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

/** The longest wait that a timer of Node can do is 2³¹ − 1 ms. */
const LONGEST = 2 ** 31 - 1;

export const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  date: () => new Date(),
  async wait(milliseconds, signal) {
    try {
      await setTimeout(Math.min(milliseconds, LONGEST), undefined, { signal });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  },
};
