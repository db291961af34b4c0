import Table from 'cli-table3';
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

const PLAIN_BORDERS = Object.fromEntries(
  'top top-mid top-left top-right bottom bottom-mid bottom-left bottom-right left left-mid mid mid-mid right right-mid'
    .split(' ')
    .map((place) => [place, '']),
);

/** A table without borders, as wide as the terminal at most. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const cells = rows.map((row) => columns.map(({ value }) => String(value(row))));
  const widths = columns.map(({ head }, i) =>
    Math.max(head.length, ...cells.map((line) => line[i]!.length)),
  );
  const room = (process.stdout.columns ?? Number.POSITIVE_INFINITY) - 2 * columns.length;
  const excess = widths.reduce((a, b) => a + b, 0) - room;
  const limits = widths.map((width, i) =>
    columns[i]!.flexible && excess > 0 ? Math.max(12, width - excess) : width,
  );
  const out = new Table({
    head: columns.map(({ head }) => outColours.bold(head)),
    colAligns: columns.map(({ align = 'left' }) => align),
    chars: { ...PLAIN_BORDERS, middle: '  ' },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
  });
  for (const line of cells) out.push(line.map((text, i) => clip(text, limits[i]!)));
  return out
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** `text` in at most `width` characters. */
export const clip = (text: string, width: number): string =>
  text.length > width ? `${text.slice(0, Math.max(0, width - 1))}…` : text;

export const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

/** `0:07`, `12:30` or `3:02:11`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  const whole = Math.round(seconds);
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map((n) => String(n).padStart(2, '0'));
  const hours = Math.floor(whole / 3600);
  return hours > 0 ? `${hours}:${parts.join(':')}` : parts.join(':').replace(/^0/, '');
}
