import * as z from 'zod';
import {
  anchorCurves,
  count,
  fitness,
  genome,
  interval,
  list,
  real,
  seconds,
  share,
  stability,
} from './parts.ts';

/** A line of `evolayer leaderboard --json`. */
const entry = z.strictObject({
  rank: count,
  name: z.string().nullable(),
  id: z.string(),
  formula: z.string(),
  protocol: z.string(),
  fitness,
  evaluations: count,
  nodes: count,
  batchIndependent: z.boolean(),
  origin: z.string(),
  confirmed: z.boolean(),
});

export const leaderboard = z.strictObject({
  protocol: z.string().nullable(),
  anchors: list(z.string()),
  /** How many layers were ranked, and how many lines of that are shown from the first to the last. */
  asked: z.int(),
  lines: z.int(),
  from: z.int(),
  entries: list(entry),
});

export const choices = z.strictObject({
  protocols: list(z.strictObject({ key: z.string(), scored: z.int() })),
  runs: list(z.strictObject({ id: z.int(), protocol: z.string() })),
  zoo: list(z.string()),
});

const facts = {
  formula: z.string(),
  zooName: z.string().nullable(),
  structuralKey: z.string(),
  functionalKey: z.string().nullable(),
  batchIndependent: z.boolean(),
  liveNodes: count,
};

const score = { rank: count, of: count, evaluations: count, fitness };

const changes = list(z.strictObject({ node: count, before: z.string(), after: z.string() }));

/** What `evolayer show --json` prints. */
const dossier = z.strictObject({
  ...facts,
  genome,
  tree: list(z.string()),
  nodes: list(
    z.strictObject({
      id: count,
      op: z.string(),
      args: list(count),
      index: z.string().nullable(),
      extent: z.string(),
      uses: count,
    }),
  ),
  candidate: z
    .strictObject({
      id: z.string(),
      origin: z.string(),
      parent: z.string().nullable(),
      outcome: z.string(),
      description: z.string(),
      tier: z.string().nullable(),
      repeat: count.nullable(),
      evaluations: count.nullable(),
      fitness: share.nullable(),
      protocol: z.string(),
    })
    .nullable(),
  scores: list(
    z.strictObject({
      protocol: z.string(),
      ...score,
      baselines: list(z.strictObject({ name: z.string(), ...score })),
    }),
  ),
  evaluations: list(
    z.strictObject({
      protocol: z.string(),
      repeat: count,
      at: z.string(),
      madeFor: z.string(),
      outcome: z.string(),
      description: z.string(),
      perAnchor: list(
        z.strictObject({
          anchor: z.string(),
          accuracy: share,
          loss: real,
          steps: count,
          seconds,
          curve: list(real).optional(),
          stability: stability.optional(),
        }),
      ),
    }),
  ),
  lineage: list(
    z.strictObject({
      id: z.string(),
      origin: z.string(),
      formula: z.string(),
      fitness: share.nullable(),
      changes: changes.nullable(),
      changesLayer: z.boolean().nullable(),
    }),
  ),
});

export const describedLayer = z.strictObject({
  dossier,
  latex: z.string(),
  /** Means over evaluations, with known layers beside the layer. */
  curves: list(z.strictObject({ protocol: z.string(), anchors: anchorCurves })),
});

export const responses = z.strictObject({
  inputs: list(z.number()),
  responses: list(z.strictObject({ mean: z.number(), deviation: z.number(), outputs: list(real) })),
});

const difference = { difference: z.number(), interval: interval.nullable(), p: share.nullable() };

/** What `evolayer compare --json` prints. */
const compared = z.strictObject({
  protocol: z.string().nullable(),
  noise: z.strictObject({ deviation: z.number(), functions: count }).nullable(),
  layers: list(
    z.strictObject({ layer: z.string(), ...facts, score: z.strictObject(score).nullable() }),
  ),
  pairs: list(
    z.strictObject({
      first: z.string(),
      second: z.string(),
      sameFunction: z.boolean(),
      sameGraph: z.boolean(),
      sharedNodes: count,
      onlyFirst: list(z.string()),
      onlySecond: list(z.string()),
      scores: z
        .strictObject({
          mean: z.strictObject(difference),
          perAnchor: list(z.strictObject({ anchor: z.string(), ...difference })),
        })
        .nullable(),
    }),
  ),
});

export const comparison = z.strictObject({
  comparison: compared,
  latex: list(z.string()),
  /** Under the protocol of the comparison. */
  curves: anchorCurves,
});

export const exportedText = z.strictObject({
  file: z.string(),
  /** Null for a target that writes bytes. */
  content: z.string().nullable(),
});

export type Leaderboard = z.output<typeof leaderboard>;
export type Entry = z.output<typeof entry>;
export type Choices = z.output<typeof choices>;
export type DescribedLayer = z.output<typeof describedLayer>;
export type Responses = z.output<typeof responses>;
export type AnchorCurves = z.output<typeof anchorCurves>[number];
export type Comparison = z.output<typeof comparison>;
export type ExportedText = z.output<typeof exportedText>;
