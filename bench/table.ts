import Table from 'cli-table3';
import type { Results } from './results.ts';

/** A table without colours; the first column is text, the others are numbers. */
export function table(
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const made = new Table({
    head: [...head],
    colAligns: head.map((_, i) => (i === 0 ? 'left' : 'right')),
    style: { head: [], border: [], compact: true },
  });
  for (const row of rows) made.push([...row]);
  return made.toString();
}

/** Three digits; a dash where there is no figure. */
export const figure = (value: number): string => {
  if (!Number.isFinite(value)) return '–';
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(value >= 1 ? 2 : 3);
};
export const times = (value: number): string =>
  Number.isFinite(value) ? `${figure(value)} ×` : '–';
export const percent = (share: number): string =>
  Number.isFinite(share) ? `${(100 * share).toFixed(0)} %` : '–';

/** A figure that the project wants to reach, and what was measured. */
export interface Goal {
  readonly what: string;
  readonly measured: number;
  readonly wanted: readonly ['≥' | '≤', number];
  readonly show: (value: number) => string;
}

export function goals(list: readonly Goal[]): string {
  const rows = list.map(({ what, measured, wanted: [sign, bound], show }) => {
    const reached = sign === '≥' ? measured >= bound : measured <= bound;
    const verdict = Number.isFinite(measured) ? (reached ? 'yes' : 'no') : '–';
    return [what, show(measured), `${sign} ${show(bound)}`, verdict];
  });
  return table(['goal', 'measured', 'wanted', 'reached'], rows);
}

/** Who is missing, and why. */
export const missingContenders = (results: Results): string[] =>
  [...results.missing()].map(([name, reasons]) => `missing: ${name} (${[...reasons].join('; ')})`);
