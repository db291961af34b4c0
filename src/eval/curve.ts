/*
 * How a training went, in few numbers: the losses of its steps, as means over stretches of them. It is an
 * observation; no decision depends on it.
 */

/** Points of a curve, at most: enough to see its shape, and 128 bytes in the database. */
export const CURVE_POINTS = 32;

/** The steps of stretch `i` of `points`, from the first to before the last one: ⌊i·steps/points⌋ to ⌊(i+1)·steps/points⌋. */
export const stretchOf = (i: number, points: number, steps: number): readonly [number, number] => [
  Math.floor((i * steps) / points),
  Math.floor(((i + 1) * steps) / points),
];

/** What is told of a loss: four digits, which single precision keeps. */
export const inFourDigits = (loss: number): number => Number(loss.toPrecision(4));

/**
 * The curve of a training, whose losses are given step by step: the mean over each of `CURVE_POINTS` stretches
 * that are as long as each other but for one step, or the losses themselves where they are fewer. Summed in
 * double precision in the order of steps, so that the same training gives the same curve.
 */
export function curveOf(losses: readonly number[]): number[] {
  const points = Math.min(CURVE_POINTS, losses.length);
  return Array.from({ length: points }, (_, i) => {
    const [start, end] = stretchOf(i, points, losses.length);
    let sum = 0;
    for (let step = start; step < end; step++) sum += losses[step]!;
    return inFourDigits(sum / (end - start));
  });
}
