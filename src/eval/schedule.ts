export const SCHEDULES = ['constant', 'cosine'] as const;
export type Schedule = (typeof SCHEDULES)[number];

/** The part of the full learning rate that step `step` of `steps` (from 0) uses. */
const FACTORS: Record<Schedule, (step: number, steps: number) => number> = {
  constant: () => 1,
  /** Loshchilov and Hutter 2017: half a cosine from 1 down to 0, which the step after the last would reach. */
  cosine: (step, steps) => (1 + Math.cos((Math.PI * step) / steps)) / 2,
};

export const learningRateAt = (
  schedule: Schedule,
  learningRate: number,
  step: number,
  steps: number,
): number => learningRate * FACTORS[schedule](step, steps);
