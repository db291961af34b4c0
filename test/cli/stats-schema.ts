import { z } from 'zod';
import { OUTCOME_NAMES } from '../../src/eval/outcome.ts';

const count = z.int().nonnegative();
const seconds = z.number().nonnegative();
const share = z.number().min(0).max(1);
const state = z.enum(['running', 'killed', 'interrupted', 'finished', 'failed']);
const perAnchor = z.array(z.strictObject({ anchor: z.string(), accuracy: share }));
const layer = { id: z.string(), formula: z.string(), fitness: share };

const hits = z.strictObject({ full: count, partial: count });
const auditCounts = z.strictObject({
  ...{ audits: count, agrees: count, differs: count, rejected: count, open: count },
  rate: share.nullable(),
  interval: z.tuple([share, share]).nullable(),
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
  outcomes: z.strictObject(Object.fromEntries(OUTCOME_NAMES.map((name) => [name, count]))),
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
  sessions: z.array(
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
  baselines: z.array(
    z.strictObject({
      name: z.string(),
      outcome: z.enum(OUTCOME_NAMES),
      fitness: share.nullable(),
      perAnchor,
    }),
  ),
  improvements: z.array(z.strictObject({ ...layer, at: z.iso.datetime().nullable() })),
  front: z.array(z.strictObject({ ...layer, perAnchor })),
  faults: z.array(
    z.strictObject({
      /** Baselines stand at negative ones. */
      index: z.int().nullable(),
      at: z.iso.datetime(),
      kind: z.string(),
      message: z.string(),
    }),
  ),
});
