import type { JobResult } from '../../workers/messages.ts';
import { UserError } from '../errors.ts';

/** The least number of evaluations in a row whose crash says that it is not the candidates. */
export const CRASHES_IN_A_ROW = 5;

/**
 * The evaluations that crashed since the last one that did not, in the order in which they ended. While
 * more evaluations are to come, nobody knows whether such a crash is the candidate's fault or the
 * machine's; so it is not to be committed before.
 */
export class CrashSeries {
  readonly #limit: number;
  readonly #messages = new Map<number, string>();

  constructor(limit: number = CRASHES_IN_A_ROW) {
    this.#limit = limit;
  }

  /** An evaluation ended. */
  landed(index: number, { outcome }: JobResult): void {
    if (outcome.outcome === 'crashed') this.#messages.set(index, outcome.message);
    else this.#messages.clear();
  }

  includes(index: number): boolean {
    return this.#messages.has(index);
  }

  /** Why the run cannot go on; null where it can. */
  diagnosis(): UserError | null {
    if (this.#messages.size < this.#limit) return null;
    const different = [...new Set(this.#messages.values())];
    const last = different.slice(-3).join('; ');
    return new UserError(
      `${this.#messages.size} evaluations in a row crashed (${last}), so something is wrong with this machine ` +
        'or installation, not with the layers; none of them was saved, so mend it and go on with the run.',
      1,
    );
  }
}
