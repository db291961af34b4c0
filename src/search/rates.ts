/** Seconds that a rate looks back. */
const WINDOW = 300;
/** A window holds about this many samples, however often it is told. */
const SLOTS = 60;
/** With fewer than these in the window, a rate looks further back: a run of slow evaluations has a rate too. */
const ENOUGH = 10;

interface Sample {
  at: number;
  count: number;
}

/**
 * How fast a count grows, over the last minutes: what happened in the first hour says nothing about the
 * third day. All times are seconds of one clock that only goes forward. Its size is bounded.
 */
export class RateWindow {
  readonly #seconds: number;
  /** Oldest first; between two of them the count is taken to grow evenly. */
  #samples: Sample[];
  #count: number;

  constructor(at: number, count: number, seconds = WINDOW) {
    this.#seconds = seconds;
    this.#samples = [{ at, count }];
    this.#count = count;
  }

  /** Notes that the count is `count` at `at`, which is not before what was told already. */
  add(at: number, count: number): void {
    if (count === this.#count) return;
    this.#count = count;
    const before = this.#samples.at(-2);
    if (before && at - before.at < this.#seconds / SLOTS) this.#samples.pop();
    this.#samples.push({ at, count });
    this.#forget(at);
  }

  /** Leaves out the last `seconds`, in which nobody worked: the machine slept, or the process was stopped. */
  skip(seconds: number): void {
    for (const sample of this.#samples) sample.at += seconds;
  }

  /** Counts per second at `at`; 0 where there was none since the window was opened. */
  perSecond(at: number): number {
    const base = this.#base(at - this.#seconds);
    return at > base.at ? (this.#count - base.count) / (at - base.at) : 0;
  }

  /** What the rate is measured from: the window's start, or where too little happened since, an earlier moment. */
  #base(start: number): Sample {
    const first = this.#samples[0]!;
    if (first.at >= start) return first;
    const count = this.#countAt(start);
    if (this.#count - count >= ENOUGH) return { at: start, count };
    return this.#samples.findLast((sample) => this.#count - sample.count >= ENOUGH) ?? first;
  }

  #countAt(time: number): number {
    const next = this.#samples.findIndex(({ at }) => at > time);
    if (next < 0) return this.#count;
    const [a, b] = [this.#samples[next - 1], this.#samples[next]!];
    return a ? a.count + ((b.count - a.count) * (time - a.at)) / (b.at - a.at) : b.count;
  }

  /** Drops what lies before the window, down to the last `ENOUGH` counts. */
  #forget(at: number): void {
    const start = at - this.#seconds;
    const isNeeded = ({ at: time, count }: Sample) => time > start || this.#count - count < ENOUGH;
    const first = this.#samples.findIndex(isNeeded);
    if (first > 1) this.#samples = this.#samples.slice(first - 1);
  }
}

/** What ends a run, as far as a rate can foretell it. */
export interface Limits {
  readonly proposals?: number | undefined;
  readonly evaluations?: number | undefined;
  readonly seconds?: number | undefined;
}

/** Where a run stands: totals over all sessions. */
export interface Position {
  readonly proposals: number;
  readonly evaluations: number;
  readonly seconds: number;
}

/** Seconds until the nearest limit at these rates per second; infinity where nothing moves towards any. */
export function secondsLeft(
  { proposals, evaluations, seconds }: Limits,
  at: Position,
  perSecond: { readonly proposals: number; readonly evaluations: number },
): number {
  const until = (limit: number | undefined, reached: number, rate: number) => {
    if (limit === undefined) return Number.POSITIVE_INFINITY;
    return reached >= limit ? 0 : (limit - reached) / rate;
  };
  return Math.min(
    until(proposals, at.proposals, perSecond.proposals),
    until(evaluations, at.evaluations, perSecond.evaluations),
    until(seconds, at.seconds, 1),
  );
}
