import * as z from 'zod';
import { OUTCOME_NAMES } from '../../../eval/outcome.ts';
import { EVENT_KINDS } from '../../../reading/events.ts';
import { count, list, real, seconds, share, state } from './parts.ts';
import { statistics } from './stats.ts';

/** A line of `evolayer runs --json`. */
const runRow = z.strictObject({
  id: count,
  started: z.string(),
  state,
  reason: z.string().nullable(),
  sessions: count,
  proposals: count,
  total: count,
  evaluated: count,
  best: share.nullable(),
  seconds,
  seed: count,
  algorithm: z.string(),
  protocol: z.string(),
  config: z.looseObject({}),
});

export const runs = z.strictObject({ db: z.string(), runs: list(runRow) });

const limits = z.strictObject({
  proposals: count.optional(),
  evaluations: count.optional(),
  seconds: seconds.optional(),
});

const progress = z.strictObject({
  limits,
  reached: z.strictObject({ proposals: count, evaluations: count, seconds }),
  perSecond: z.strictObject({ proposals: seconds, evaluations: seconds }).nullable(),
  secondsLeft: seconds.nullable(),
});

export const fitnessColumns = z.strictObject({
  indices: list(count),
  fitness: list(share),
  last: z.int().min(-1),
});

const counts = list(count);

const course = z.strictObject({
  size: count,
  proposals: counts,
  outcomes: z.record(z.enum(OUTCOME_NAMES), counts),
  hits: z.strictObject({ structural: counts, functional: counts }),
  trained: counts,
  at: list(z.string().nullable()),
  perSecond: list(real),
});

export const describedRun = z.strictObject({
  row: runRow,
  progress,
  course,
  /** Known layers of the run. */
  zoo: statistics.shape.baselines,
});

const points = list(z.strictObject({ id: z.string(), x: share, y: share }));

export const fronts = list(
  z.strictObject({
    x: z.string(),
    y: z.string(),
    front: points,
    zoo: points,
    points: z.strictObject({ indices: list(count), x: list(share), y: list(share) }),
  }),
);

const events = list(
  z.strictObject({
    at: z.string().nullable(),
    kind: z.enum(EVENT_KINDS),
    text: z.string(),
    layer: z.string().nullable(),
  }),
);

export const statsAndEvents = z.strictObject({ stats: statistics, events });

export const rejectedLayers = list(
  z.strictObject({ id: z.string(), formula: z.string(), description: z.string() }),
);

export const reasons = z.strictObject({
  proposals: count,
  reasons: list(
    z.strictObject({
      outcome: z.enum(OUTCOME_NAMES),
      count,
      share,
      examples: rejectedLayers,
    }),
  ),
});

export type Runs = z.output<typeof runs>;
export type RunRow = z.output<typeof runRow>;
export type DescribedRun = z.output<typeof describedRun>;
export type FitnessColumns = z.output<typeof fitnessColumns>;
export type StatsAndEvents = z.output<typeof statsAndEvents>;
export type Fronts = z.output<typeof fronts>;
export type Reasons = z.output<typeof reasons>;
export type RejectedLayers = z.output<typeof rejectedLayers>;
