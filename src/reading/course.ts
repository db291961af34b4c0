import type { CoursePart } from '../../db/course.ts';
import type { Session } from '../../db/sessions.ts';
import type { Store } from '../../db/store.ts';
import { OUTCOME_NAMES, type OutcomeName } from '../eval/outcome.ts';
import type { SearchConfig } from '../search/config.ts';
import { type Limits, RateWindow, secondsLeft } from '../search/rates.ts';
import type { RunState } from './states.ts';

/** The fitness of proposals, as columns. */
export interface FitnessColumns {
  readonly indices: readonly number[];
  readonly fitness: readonly number[];
  /** The last proposal that is committed, with a fitness or without; -1 where there is none. */
  readonly last: number;
}

/** Of those behind the proposal with index `after`. */
export function fitnessOfRun(store: Store, run: number, after: number): FitnessColumns {
  const scored = store.course.scored(run, after);
  return {
    indices: scored.map(([index]) => index),
    fitness: scored.map(([, fitness]) => fitness),
    last: store.course.proposals(run) - 1,
  };
}

/** How a run went, in parts of equally many proposals; every list has an entry for each part. */
export interface Course {
  /** Proposals in a part; the last one may have fewer. */
  readonly size: number;
  /** How many proposals there were at the end of the part. */
  readonly proposals: readonly number[];
  /** Of the part's proposals, how many ended in each way. */
  readonly outcomes: Readonly<Record<OutcomeName, readonly number[]>>;
  /** How many of them took over what was known, by the key that recognised them. */
  readonly hits: { readonly structural: readonly number[]; readonly functional: readonly number[] };
  /** How many of them were trained to the end. */
  readonly trained: readonly number[];
  /** When the last evaluation up to the end of the part was committed, ISO 8601. */
  readonly at: readonly (string | null)[];
  /** Proposals per second while somebody worked on the run; null where the part took no time that is noted. */
  readonly perSecond: readonly (number | null)[];
}

/** As many as a chart shows well; of short runs fewer, so that a part has proposals enough for a share. */
const PARTS = 120;
const LEAST_PARTS = 10;
const ENOUGH = 25;

const partSize = (proposals: number): number =>
  Math.max(1, Math.ceil(proposals / PARTS), Math.min(ENOUGH, Math.ceil(proposals / LEAST_PARTS)));

export function courseOf(store: Store, { run, sessions }: RunState): Course {
  const size = partSize(run.proposals);
  const length = Math.ceil(run.proposals / size);
  const rows = store.course.parts(run.id, size);
  const filled = (keep: (row: CoursePart) => number) => {
    const counts: number[] = new Array(length).fill(0);
    for (const row of rows) counts[row.part]! += keep(row);
    return counts;
  };
  const proposals = Array.from({ length }, (_, i) => Math.min(run.proposals, (i + 1) * size));
  const at = proposals.map((count) => {
    const last = store.course.committed(run.id, count - 1);
    return last !== null && last.index >= 0 ? last.at : null;
  });
  return {
    size,
    proposals,
    outcomes: Object.fromEntries(
      OUTCOME_NAMES.map((name) => [name, filled((row) => (row.outcome === name ? row.count : 0))]),
    ) as Record<OutcomeName, number[]>,
    hits: {
      structural: filled(({ structural }) => structural),
      functional: filled(({ functional }) => functional),
    },
    trained: filled(({ outcome, trained }) => (outcome === 'evaluated' ? trained : 0)),
    at,
    perSecond: ratesOf(proposals, at, sessions, run.started),
  };
}

function ratesOf(
  proposals: readonly number[],
  at: readonly (string | null)[],
  sessions: readonly Session[],
  started: string,
): (number | null)[] {
  return proposals.map((count, i) => {
    const [from, to] = [i === 0 ? started : (at[i - 1] ?? started), at[i]];
    const seconds = to ? workedBetween(sessions, Date.parse(from), Date.parse(to)) : 0;
    return seconds > 0 ? (count - (proposals[i - 1] ?? 0)) / seconds : null;
  });
}

/** Seconds of the sessions that lie between two moments, in milliseconds. */
const workedBetween = (sessions: readonly Session[], from: number, to: number): number =>
  sessions.reduce((sum, { started, seconds }) => {
    const begin = Date.parse(started);
    return sum + Math.max(0, Math.min(to, begin + 1000 * seconds) - Math.max(from, begin)) / 1000;
  }, 0);

/** Where a run stands: what it reached of what ends it, and how fast it goes. */
export interface Progress {
  readonly limits: Limits;
  readonly reached: {
    readonly proposals: number;
    readonly evaluations: number;
    readonly seconds: number;
  };
  /** Over the last minutes of a run that goes on; null for others. */
  readonly perSecond: { readonly proposals: number; readonly evaluations: number } | null;
  /** Null where it is not known, or where nobody works on the run. */
  readonly secondsLeft: number | null;
}

/** As the display of a search tells it, from what is committed. `now` is in milliseconds. */
export function progressOf({ run, sessions, state }: RunState, course: Course, now: number) {
  const { proposals, evaluations, seconds } = (run.config as SearchConfig).stop;
  const limits: Limits = { proposals, evaluations, seconds };
  const session = sessions.at(-1);
  const began = session ? Date.parse(session.started) : now;
  // Commits note the time that was spent; what came since is not there yet.
  const since = session ? Math.max(0, now - began - 1000 * session.seconds) / 1000 : 0;
  const trained = running(course.trained);
  const goesOn = state === 'running';
  const reached = {
    ...{ proposals: run.proposals, evaluations: trained.at(-1) ?? 0 },
    seconds: run.seconds + (goesOn ? since : 0),
  };
  if (!goesOn) return { limits, reached, perSecond: null, secondsLeft: null };
  const perSecond = {
    proposals: rateOf(course, course.proposals, began, now),
    evaluations: rateOf(course, trained, began, now),
  };
  const left = secondsLeft(limits, reached, perSecond);
  return { limits, reached, perSecond, secondsLeft: Number.isFinite(left) ? left : null };
}

/** Of a count that is known at the end of each part, since the last session began. */
function rateOf({ at }: Course, counts: readonly number[], began: number, now: number): number {
  const times = at.map((time) => (time === null ? Number.NaN : Date.parse(time)));
  const first = times.findIndex((time) => time >= began);
  if (first < 0) return 0;
  const window = new RateWindow(began / 1000, counts[first - 1] ?? 0);
  for (let i = first; i < counts.length; i++)
    if (times[i]! >= began) window.add(Math.min(times[i]!, now) / 1000, counts[i]!);
  return window.perSecond(now / 1000);
}

function running(counts: readonly number[]): number[] {
  let sum = 0;
  return counts.map((count) => {
    sum += count;
    return sum;
  });
}
