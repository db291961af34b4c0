const LEVELS = '▁▂▃▄▅▆▇█';
/** For a value that is not finite. */
const LOST = '×';

/** A character for each value, by where it lies between `low` and `high`; beyond these as at them. */
export const sketch = (values: readonly (number | null)[], low: number, high: number): string =>
  values.map((value) => (value === null ? LOST : level(value, low, high))).join('');

function level(value: number, low: number, high: number): string {
  const share = high > low ? (value - low) / (high - low) : 0.5;
  const place = Math.floor(share * LEVELS.length);
  return LEVELS[Math.max(0, Math.min(LEVELS.length - 1, place))]!;
}

/** How far beyond the values of the reference a scale reaches, as a factor. */
const REACH = 30;

/**
 * Rows of values above 0 on one logarithmic scale, so that they can be compared, in at most `width` characters
 * each. What lies far beyond `reference` does not flatten the others.
 */
export function logSketches(
  rows: readonly (readonly (number | null)[])[],
  reference: readonly (number | null)[],
  width: number,
): string[] {
  const logs = rows.map((row) =>
    thinned(row, width).map((value) => (value === null ? null : Math.log(value))),
  );
  const [all, known] = [logs.flat().filter(isNumber), reference.filter(isPositive).map(Math.log)];
  const low = Math.max(Math.min(...all), Math.min(...known) - Math.log(REACH));
  const high = Math.min(Math.max(...all), Math.max(...known) + Math.log(REACH));
  return logs.map((row) => sketch(row, low, high));
}

const isNumber = (value: number | null): value is number => Number.isFinite(value);
const isPositive = (value: number | null): value is number => value !== null && value > 0;

/** So many values at most, the first and the last among them, at equal distances. */
function thinned<T>(values: readonly T[], most: number): readonly T[] {
  if (values.length <= most) return values;
  const step = (values.length - 1) / (most - 1);
  return Array.from({ length: most }, (_, i) => values[Math.round(i * step)]!);
}

/** Three digits; `×` for what is not finite. */
export function short(value: number | null): string {
  if (value === null) return LOST;
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e5 || size < 1e-4)) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}
