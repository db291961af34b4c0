import { UserError } from '../errors.ts';
import type { LayerGraph } from '../graph/graph.ts';
import { isElementwise, isMoment, type OpName } from '../graph/ops.ts';

/** A deliberate gap of a target. */
export interface Unsupported {
  readonly why: string;
}

/** `why` is the reason that a user is told, without a full stop. */
export const unsupported = (why: string): Unsupported => ({ why });

/** What a target makes of each op. Total over the op table: an op that is missing does not compile. */
export type Support = Readonly<Record<OpName, 'supported' | Unsupported>>;

/** The support of a target that writes every op; gaps are put over it. */
export const EVERY_OP: Readonly<Record<OpName, 'supported'>> = {
  add: 'supported',
  mul: 'supported',
  div: 'supported',
  max: 'supported',
  neg: 'supported',
  sigmoid: 'supported',
  tanh: 'supported',
  exp: 'supported',
  log: 'supported',
  abs: 'supported',
  square: 'supported',
  sqrt: 'supported',
  mean: 'supported',
  rms: 'supported',
  std: 'supported',
};

/** Throws a UserError where the layer has an op that the target leaves out. */
export function refuseGaps(target: string, ops: Support, { nodes }: LayerGraph): void {
  for (const { op } of nodes) {
    const support = isMoment(op) || isElementwise(op) ? ops[op as OpName] : 'supported';
    if (support !== 'supported')
      throw new UserError(
        `This layer contains ${op}, which ${target} leaves out: ${support.why}.`,
        1,
      );
  }
}
