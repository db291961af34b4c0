import { OUTCOME_NAMES } from '../../../eval/outcome.ts';
import { rate } from '../../../format.ts';
import type { DescribedRun } from '../../server/answers/runs.ts';
import { Chart, type Line } from './chart.tsx';

type Course = DescribedRun['course'];

/** In the order of the funnel; each outcome keeps its colour. */
const COLOURS = {
  'not-finite': 'black',
  constant: 'grey',
  'batch-dependent': 'brown',
  'low-quality': 'orange',
  diverged: 'vermillion',
  unstable: 'purple',
  timeout: 'yellow',
  crashed: 'sky',
  evaluated: 'green',
} as const;

const share = (value: number) => `${Math.round(100 * value)} %`;

/** Shares of the ways in which proposals ended, stacked: the largest sum is drawn first, so that each covers the one before. */
export function FunnelChart({ course }: { readonly course: Course }) {
  const names = OUTCOME_NAMES.filter((name) => course.outcomes[name].some((count) => count > 0));
  const totals = course.proposals.map((count, i) => count - (course.proposals[i - 1] ?? 0));
  let sums = totals.map(() => 0);
  const stacked = [...names].reverse().map((name) => {
    sums = sums.map((sum, i) => sum + course.outcomes[name][i]! / totals[i]!);
    return { name, sums };
  });
  const order = stacked.reverse();
  const lines = order.map(
    ({ name }): Line => ({ label: name, colour: COLOURS[name], kind: 'area' }),
  );
  const last = order.map(
    ({ name }) => `${name} ${course.outcomes[name].reduce((a, b) => a + b, 0)}`,
  );
  return (
    <Chart
      title="Funnel: how proposals ended, by when they were made"
      summary={`In all: ${last.join(', ')}.`}
      x={{ label: 'proposal' }}
      y={{ label: 'share, stacked', format: share, range: [0, 1] }}
      lines={lines}
      data={[course.proposals, ...order.map((one) => one.sums)]}
    />
  );
}

const HIT_LINES: readonly Line[] = [
  { label: 'structural key', colour: 'blue' },
  { label: 'functional key', colour: 'orange', dash: [6, 3] },
  { label: 'trained to the end', colour: 'green', dash: [2, 2] },
];

export function HitsChart({ course }: { readonly course: Course }) {
  const totals = course.proposals.map((count, i) => count - (course.proposals[i - 1] ?? 0));
  const shares = (counts: readonly number[]) => counts.map((count, i) => count / totals[i]!);
  const sum = (counts: readonly number[]) => counts.reduce((a, b) => a + b, 0);
  return (
    <Chart
      title="Cache hits by the key that recognised them"
      summary={`${sum(course.hits.structural)} by structural key, ${sum(course.hits.functional)} by functional key.`}
      x={{ label: 'proposal' }}
      y={{ label: 'share of proposals', format: share }}
      lines={HIT_LINES}
      data={[
        course.proposals,
        shares(course.hits.structural),
        shares(course.hits.functional),
        shares(course.trained),
      ]}
    />
  );
}

const RATE_LINES: readonly Line[] = [{ label: 'proposals', colour: 'blue' }];

export function ThroughputChart({ course }: { readonly course: Course }) {
  const known = course.perSecond.filter((value) => value !== null);
  if (known.length === 0) return null;
  const summary = `Between ${rate(Math.min(...known))} and ${rate(Math.max(...known))}.`;
  return (
    <Chart
      title="Throughput while somebody worked on the run"
      summary={summary}
      x={{ label: 'proposal' }}
      y={{ label: 'proposals per time', format: rate }}
      lines={RATE_LINES}
      data={[course.proposals, course.perSecond]}
    />
  );
}
