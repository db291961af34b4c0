import * as z from 'zod';
import { OUTCOME_NAMES } from '../../../eval/outcome.ts';
import { count, interval, layer, list, perAnchor, seconds, share, state } from './parts.ts';

const hits = z.strictObject({ full: count, partial: count });
const auditCounts = z.strictObject({
  ...{ audits: count, agrees: count, differs: count, rejected: count, open: count },
  rate: share.nullable(),
  interval: interval.nullable(),
});

const rejectionCounts = z.strictObject({
  ...{ rejected: count, audits: count, top: count, below: count, diverged: count, open: count },
  rate: share.nullable(),
  interval: interval.nullable(),
});

/** What `stats --json` prints. */
export const statistics = z.strictObject({
  run: count,
  db: z.string(),
  state,
  reason: z.string().nullable(),
  started: z.iso.datetime(),
  seconds,
  protocol: z.string(),
  stop: z.looseObject({ proposals: count }),
  proposals: count,
  outcomes: z.record(z.enum(OUTCOME_NAMES), count),
  cacheHits: z.strictObject({ structural: count, functional: count }),
  trained: count,
  work: z.strictObject({
    evaluating: seconds,
    auditing: seconds,
    available: seconds.nullable(),
  }),
  hashing: z.strictObject({
    functions: count,
    hits: z.strictObject({ structural: hits, functional: hits }),
    hitRate: share.nullable(),
    keys: count,
    probes: count.nullable(),
    screening: seconds.nullable(),
    screeningShare: seconds.nullable(),
    redraws: z.strictObject({ neutral: count, tabu: count }),
    paid: seconds,
    spared: seconds,
    speedUp: seconds.nullable(),
    textbookSpeedUp: seconds.nullable(),
  }),
  audits: z
    .strictObject({
      seconds,
      noise: z.strictObject({ sigma: seconds, degreesOfFreedom: count }).nullable(),
      repeated: z.strictObject({ evaluations: count, graphs: count }),
      tiers: z.strictObject({ structural: auditCounts, functional: auditCounts }),
      tested: auditCounts,
      control: auditCounts,
    })
    .nullable(),
  rejections: z.strictObject({
    seconds,
    trained: count,
    decile: share.nullable(),
    tests: z.strictObject({ 'low-quality': rejectionCounts, unstable: rejectionCounts }),
    both: rejectionCounts,
  }),
  sessions: list(
    z.strictObject({
      number: count,
      started: z.iso.datetime(),
      ended: z.iso.datetime().nullable(),
      state,
      reason: z.string().nullable(),
      seconds,
      workers: count,
      proposals: count,
      evaluations: count,
      proposalsPerSecond: seconds,
      evaluationsPerSecond: seconds,
    }),
  ),
  baselines: list(
    z.strictObject({
      name: z.string(),
      outcome: z.enum(OUTCOME_NAMES),
      fitness: share.nullable(),
      perAnchor,
    }),
  ),
  improvements: list(z.strictObject({ ...layer, at: z.iso.datetime().nullable() })),
  front: list(z.strictObject({ ...layer, perAnchor })),
  faults: list(
    z.strictObject({
      /** Baselines stand at negative ones. */
      index: z.int().nullable(),
      at: z.iso.datetime(),
      kind: z.string(),
      message: z.string(),
    }),
  ),
});
