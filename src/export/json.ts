import { EPSILON } from '../graph/ops.ts';
import type { Exported } from './exported.ts';

/** Of the files: what they say they are, and the version that is written, with all before it readable. */
export const FORMAT = 'evolayer-layer';
export const VERSION = 1;

/** A layer as data: enough to compute it elsewhere, or to be read back. */
export function json(exported: Exported): string {
  const { id, structuralKey, zooName, found, formula, genome, groups, movingDecay } = exported;
  const content = {
    format: FORMAT,
    version: VERSION,
    name: zooName,
    id,
    structuralKey,
    found,
    formula,
    epsilon: EPSILON,
    groups,
    movingDecay,
    genome,
    scores: exported.scores,
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}
