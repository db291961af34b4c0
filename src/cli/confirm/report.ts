import { estimate, points } from '../../format.ts';
import { CONFIDENCE } from '../../reading/statistics.ts';
import { type Column, print, table } from '../output.ts';
import { ALPHA, closest, type Judged } from './judge.ts';
import type { Cell } from './plan.ts';

/** A line of the report. */
export type Row = Judged & { readonly formula: string; readonly kept: boolean };

export function describe(
  rows: readonly Row[],
  cells: readonly Cell[],
  keep: number | undefined,
): void {
  const columns: Column<Row>[] = [
    { head: 'layer', value: ({ title }) => title },
    { head: 'mean', value: (row) => estimate(row.mean, row.interval), align: 'right' },
    ...cells.map(
      ({ anchor, dataset, seen }, i): Column<Row> => ({
        head: `${anchor}${severalDatasets(cells) ? ` ${dataset}` : ''}${seen ? '' : ' (new)'}`,
        value: ({ perCell }) => estimate(perCell[i]!.accuracy, perCell[i]!.interval),
        align: 'right',
      }),
    ),
    { head: 'against the closest known layer', value: describeClosest, flexible: true },
    ...(keep === undefined
      ? []
      : [{ head: 'kept', value: ({ kept }: Row) => (kept ? 'yes' : '') }]),
    { head: 'formula', value: ({ formula }) => formula, flexible: true },
  ];
  print(table(rows, columns));
}

const severalDatasets = (cells: readonly Cell[]): boolean =>
  new Set(cells.map(({ dataset }) => dataset)).size > 1;

function describeClosest(row: Row): string {
  const least = closest(row);
  if (least === null) return '';
  const [low, high] = least.interval.map((end) => (100 * end).toFixed(2));
  const said = row.confirmed ? 'confirmed' : 'not confirmed';
  return `${said}: ${points(least.difference)} on ${least.baseline} (${low} to ${high}, p = ${least.corrected.toPrecision(2)})`;
}

/** What the table comes to, in words. */
export function verdictOf(
  found: readonly Judged[],
  seeds: number,
  cells: readonly Cell[],
  diverged: number,
): string {
  const count = found.filter(({ confirmed }) => confirmed).length;
  const lost = diverged > 0 ? ` ${diverged} trainings diverged and count as guessing.` : '';
  return `${count} of ${found.length} are confirmed: better than every known layer here, by paired tests over ${seeds} seeds at α = ${ALPHA}, corrected for all comparisons (Holm). Intervals cover ${100 * CONFIDENCE} %; ${cells.length} networks, images that chose none of them.${lost}`;
}
