import pc from 'picocolors';

/** Results go to standard output, everything else to standard error. */
export const print = (text: string): void => void process.stdout.write(`${text}\n`);
export const note = (text: string): void => void process.stderr.write(`${text}\n`);
export const printJson = (value: unknown): void => print(JSON.stringify(value));

/** Makes `evolayer … | head` no error. */
export function endQuietlyWithoutReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
}

const hasColours = (stream: NodeJS.WriteStream) =>
  stream.isTTY === true && stream.hasColors() && !process.env.NO_COLOR;

/** Colours of standard output and of standard error: none where it is no terminal, or with NO_COLOR. */
export const outColours = pc.createColors(hasColours(process.stdout));
export const errColours = pc.createColors(hasColours(process.stderr));

export interface Column<Row> {
  readonly head: string;
  readonly value: (row: Row) => string | number;
  readonly align?: 'left' | 'right';
  /** On a terminal that is too narrow, the column that gives way. */
  readonly flexible?: boolean;
}

/**
 * A table without borders, as wide as the terminal at most. By hand, for the library that the benchmark
 * uses takes longer to draw a leaderboard than the database to answer.
 */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const cells = rows.map((row) => columns.map(({ value }) => inOneLine(String(value(row)))));
  const widths = columns.map(({ head }, i) =>
    Math.max(head.length, ...cells.map((line) => line[i]!.length)),
  );
  const room = (process.stdout.columns ?? Number.POSITIVE_INFINITY) - 2 * columns.length;
  const excess = widths.reduce((a, b) => a + b, 0) - room;
  const limits = widths.map((width, i) =>
    columns[i]!.flexible && excess > 0 ? Math.max(12, width - excess) : width,
  );
  const lineOf = (texts: readonly string[], style = (text: string) => text) =>
    texts
      .map((text, i) => {
        const clipped = clip(text, limits[i]!);
        const space = ' '.repeat(limits[i]! - clipped.length);
        return columns[i]!.align === 'right' ? space + style(clipped) : style(clipped) + space;
      })
      .join('  ')
      .trimEnd();
  const head = lineOf(
    columns.map((column) => column.head),
    outColours.bold,
  );
  return [head, ...cells.map((texts) => lineOf(texts))].join('\n');
}

const inOneLine = (text: string): string => text.replace(/\s*\n\s*/g, ' ');

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

/** As a word of a shell. */
export const quoted = (text: string): string =>
  /^[\w./@%+:,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
