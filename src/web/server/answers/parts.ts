import * as z from 'zod';

/* What the answers of the API are made of. Lists are read-only, as those are that the database's readers return. */

export const list = <T extends z.ZodType>(of: T) => z.array(of).readonly();

export const count = z.int().nonnegative();
export const seconds = z.number().nonnegative();
export const share = z.number().min(0).max(1);
export const interval = z.tuple([z.number(), z.number()]).readonly();
export const state = z.enum(['running', 'killed', 'interrupted', 'finished', 'failed']);
export const perAnchor = list(z.strictObject({ anchor: z.string(), accuracy: share }));
export const layer = { id: z.string(), formula: z.string(), fitness: share };
/** What JSON cannot say (NaN, the infinities) is null. */
export const real = z.number().nullable();
/** What a stability test measured that was passed. */
export const stability = z.strictObject({
  gradientNorm: z.number().nonnegative(),
  greatestNorm: z.number().nonnegative(),
  greatestAt: count,
});
/** How several layers were trained on one anchor; each loss is a mean over a stretch of the steps. */
export const anchorCurves = list(
  z.strictObject({
    anchor: z.string(),
    steps: count,
    curves: list(z.strictObject({ layer: z.string(), evaluations: count, losses: list(real) })),
  }),
);
export const genome = z.strictObject({
  nodes: list(
    z.strictObject({
      op: z.string(),
      args: list(count),
      index: z.string().optional(),
    }),
  ),
});

export const fitness = z.strictObject({
  mean: share,
  interval: interval.nullable(),
  perAnchor: list(
    z.strictObject({ anchor: z.string(), accuracy: share, interval: interval.nullable() }),
  ),
});
