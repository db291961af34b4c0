/** Seconds of one core. */
export interface Costs {
  /** That the evaluations took. */
  readonly paid: number;
  /** That those would have taken which hits spared. */
  readonly saved: number;
  /** That keys, probes and look-ups took. */
  readonly screening: number;
}

/** How many times as long it would have taken to evaluate every function that came up; null before anything was done. */
export const speedUp = ({ paid, saved, screening }: Costs): number | null =>
  paid + screening > 0 ? (paid + saved) / (paid + screening) : null;

/**
 * The same by the formula of Unified Functional Hashing (arXiv 2302.05433), 1 / (c_hash / c_eval + 1 − h),
 * which takes hits for as expensive as misses. `hash` and `evaluation` are means in seconds.
 */
export const textbookSpeedUp = (
  hash: number,
  evaluation: number,
  hitRate: number,
): number | null => (evaluation > 0 ? 1 / (hash / evaluation + 1 - hitRate) : null);
