import pc from 'picocolors';
import { clip } from '../format.ts';

/** Results go to standard output, everything else to standard error. */
export const print = (text: string): void => void process.stdout.write(`${text}\n`);
export const note = (text: string): void => void process.stderr.write(`${text}\n`);
export const printJson = (value: unknown): void => print(JSON.stringify(value));

/**
 * Makes `evolayer … | head` no error, and results that cannot be written one with a sentence. Progress that
 * cannot be shown, as its terminal or reader is gone or its disk full, stops nothing.
 */
export function surviveOutput(): void {
  process.stderr.on('error', () => {});
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    note(`${errColours.red('error:')} The results cannot be written: ${error.message}.`);
    process.exit(1);
  });
}

/**
 * Where progress goes to no terminal (`nohup`, `2> file`), the end of one ends nothing. Node undoes what
 * `nohup` asks the system for, so that SIGHUP has to be heard.
 */
export function outliveTerminal(): void {
  if (!process.stderr.isTTY) process.on('SIGHUP', () => {});
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
  // 0 columns are those of a terminal that does not know its size.
  const room = (process.stdout.columns || Number.POSITIVE_INFINITY) - 2 * columns.length;
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

/** As a word of a shell. */
export const quoted = (text: string): string =>
  /^[\w./@%+:,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
