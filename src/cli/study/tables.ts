import { estimate, points } from '../../format.ts';
import type { Column } from '../output.ts';
import { markdown } from '../text.ts';
import type { Described, Estimate, Summary } from './summary.ts';

/* What the tables and reports of studies have in common. */

export const counted = (count: number, one: string): string =>
  `${count} ${one}${count === 1 ? '' : 's'}`;

export const number = ({ mean, interval }: Estimate, digits: number): string =>
  interval === null
    ? mean.toFixed(digits)
    : `${mean.toFixed(digits)} ± ${((interval[1] - interval[0]) / 2).toFixed(digits)}`;

export const shareOf = (value: Estimate | null): string =>
  value === null ? '' : estimate(value.mean, value.interval);

export const difference = ({ mean, interval }: Estimate): string => {
  const bare = (value: number) => points(value).replace(' points', '');
  return interval === null
    ? points(mean)
    : `${points(mean)} (${bare(interval[0])} to ${bare(interval[1])})`;
};

export const right = <T>(head: string, value: (row: T) => string): Column<T> => ({
  ...{ head, value, align: 'right' },
});

export const ARM: Column<Described> = { head: 'arm', value: ({ arm }) => arm };
export const PROPOSALS = right<Summary>('proposals', ({ proposals }) => number(proposals, 0));
export const EVALUATED = right<Summary>('evaluated', ({ evaluated }) => number(evaluated, 0));
export const TRAINING = right<Summary>('training', ({ training }) => `${number(training, 0)} s`);

export function inMarkdown<T>(rows: readonly T[], columns: readonly Column<T>[]): string {
  const head = columns.map(({ head, align }) => ({ text: head, right: align === 'right' }));
  return markdown(
    head,
    rows.map((row) => columns.map(({ value }) => String(value(row)))),
  );
}

export const docsOf = (arms: readonly Described[]): string =>
  arms.map(({ arm, doc }) => `- *${arm}*: ${doc}`).join('\n');

/** How the training of runs is counted, for the reports. */
export const BUDGET_NOTE = `- *Budget.* A full evaluation is the training of one candidate to the end, on every anchor of the protocol, with the quality tests and validations. Evaluations that end sooner count for the multiply-adds that they took, a training step as three forward passes; so the budget is the same on every machine. What the layers themselves cost is left out of it: *training* says, in seconds of one worker, how equal it was by the clock. A run ends with the candidate whose evaluation reaches its budget.`;
