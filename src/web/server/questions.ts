import * as z from 'zod';
import { LAYOUTS } from '../../export/exported.ts';
import { TARGET_NAMES } from '../../export/write.ts';

/* What can be asked: parameters of paths and queries, with their limits. What is not named here is refused. */

const whole = (min: number, max: number) => z.coerce.number().int().min(min).max(max);
const flag = z.enum(['true', 'false']).transform((text) => text === 'true');
const one = <T extends z.ZodType>(of: T) =>
  z.union([z.array(of).max(16), of.transform((value) => [value])]);

const LAYER = z
  .string()
  .min(1)
  .max(4000)
  .describe('an id such as r1-42, a name of the zoo, or a formula');

export const run = z.strictObject({ run: whole(1, 1e15) });

export const fitness = z.strictObject({
  after: whole(-1, 1e15).default(-1).describe('only proposals behind the one with this index'),
});

export const reasons = z.strictObject({ examples: whole(0, 50).default(5) });

export const rejected = z.strictObject({
  outcome: z.string().max(40),
  before: whole(0, 1e15).describe('only proposals before the one with this index'),
  count: whole(1, 100).default(20),
});

export const leaderboard = z.strictObject({
  run: whole(1, 1e15).exactOptional(),
  protocol: z.string().min(1).max(100).exactOptional(),
  anchor: one(z.string().min(1).max(100)).exactOptional(),
  sort: z.string().min(1).max(100).exactOptional(),
  top: whole(1, 1_000_000_000).default(1_000_000_000),
  pareto: flag.exactOptional(),
  batchIndependent: flag.exactOptional(),
  minEvaluations: whole(1, 1_000_000).exactOptional(),
  since: z
    .string()
    .min(1)
    .max(40)
    .exactOptional()
    .describe('a date such as 2026-11-20, or a time of one'),
  from: whole(0, 1_000_000_000).default(0).describe('how many lines to leave out'),
  count: whole(1, 200).default(100),
});

export const layer = z.strictObject({ layer: LAYER });

export const graph = z.strictObject({
  layer: LAYER,
  unlike: LAYER.optional().describe('a layer; the nodes that it does not have are marked'),
});

export const exported = z.strictObject({
  layer: LAYER,
  to: z.enum(TARGET_NAMES),
  layout: z.enum(LAYOUTS).exactOptional().describe('that of the framework unless told'),
});

export const comparison = z.strictObject({
  layer: z.array(LAYER).min(2).max(4),
  protocol: z.string().min(1).max(100).optional(),
});
