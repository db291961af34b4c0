import type { Clock } from '../../src/search/clock.ts';

/** A clock that goes when it is told. */
export class FakeClock implements Clock {
  #now = 0;
  #waiting: { readonly until: number; readonly resolve: () => void }[] = [];
  /** What was waited for, in milliseconds. */
  readonly waits: number[] = [];

  now = () => this.#now;
  date = () => new Date(this.#now);

  wait = (milliseconds: number, signal: AbortSignal) =>
    new Promise<void>((resolve) => {
      this.waits.push(milliseconds);
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve());
      this.#waiting.push({ until: this.#now + milliseconds, resolve });
    });

  advance(milliseconds: number): void {
    this.#now += milliseconds;
    const due = this.#waiting.filter(({ until }) => until <= this.#now);
    this.#waiting = this.#waiting.filter(({ until }) => until > this.#now);
    for (const { resolve } of due) resolve();
  }
}

/** A clock on which no time is lost with waiting: it passes at once. */
export class HastyClock extends FakeClock {
  override wait = (milliseconds: number, signal: AbortSignal) => {
    this.waits.push(milliseconds);
    if (!signal.aborted) this.advance(milliseconds);
    return Promise.resolve();
  };
}
