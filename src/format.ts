/* How numbers and names are written, wherever they are shown: on a terminal, on a page, in a report. */

/** Text from a database of unknown origin, without the characters that a terminal would obey. */
export const printable = (text: string): string => text.replace(/\p{C}/gu, '\ufffd');

/** `text` in at most `width` characters. */
export const clip = (text: string, width: number): string =>
  text.length > width ? `${text.slice(0, Math.max(0, width - 1))}…` : text;

export const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

/** `0:07`, `12:30`, `3:02:11` or `2d 03:02:11`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  const whole = Math.round(seconds);
  const [days, hours] = [Math.floor(whole / 86_400), Math.floor(whole / 3600) % 24];
  const two = (n: number) => String(n).padStart(2, '0');
  const rest = `${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  if (days > 0) return `${days}d ${two(hours)}:${rest}`;
  return hours > 0 ? `${hours}:${rest}` : rest.replace(/^0/, '');
}

/** A time that nobody waits for: `5:20:00`, `12 days`, `3 years`. */
export function longTime(seconds: number): string {
  const days = seconds / 86_400;
  if (days < 2) return duration(seconds);
  return days < 730 ? `${Math.round(days)} days` : `${Math.round(days / 365.25)} years`;
}

/** `2.5/s`, `12.0/min`, `3.0/h` or `0.5/day`: the unit in which the number says something. */
export function rate(perSecond: number): string {
  if (perSecond === 0) return '0/s';
  const [unit, seconds] = RATE_UNITS.find(([, s]) => perSecond * s >= 0.95) ?? RATE_UNITS.at(-1)!;
  return `${(perSecond * seconds).toFixed(1)}/${unit}`;
}

const RATE_UNITS = [
  ['s', 1],
  ['min', 60],
  ['h', 3600],
  ['day', 86_400],
] as const;

/** `812 kB`, `1.5 MB`, `120 MB` or `3.2 GB`, of powers of ten. */
export function bytes(count: number): string {
  const [unit, size] = BYTE_UNITS.find(([, s]) => count >= 0.9995 * s) ?? BYTE_UNITS.at(-1)!;
  const value = count / size;
  return `${value.toFixed(value < 9.95 && size > 1000 ? 1 : 0)} ${unit}`;
}

const BYTE_UNITS = [
  ['GB', 1e9],
  ['MB', 1e6],
  ['kB', 1e3],
] as const;

/** `+2.50 points`: a difference of shares. */
export const points = (difference: number): string =>
  `${difference < 0 ? '−' : '+'}${Math.abs(100 * difference).toFixed(2)} points`;

/** A percentage, with the reach of its confidence interval where there is one. */
export const estimate = (value: number, interval: readonly [number, number] | null): string =>
  interval === null
    ? percent(value)
    : `${(100 * value).toFixed(2)} ± ${percent((interval[1] - interval[0]) / 2)}`;
