import { EPSILON } from '../graph/ops.ts';
import type { Exported } from './exported.ts';

/** A layer as data: enough to compute it elsewhere, or to read it back with `parseGenome`. */
export function json(exported: Exported): string {
  const { id, structuralKey, zooName, formula, genome, scores, groups, movingDecay } = exported;
  const content = {
    format: 'evolayer-layer',
    version: 1,
    name: zooName,
    id,
    structuralKey,
    formula,
    epsilon: EPSILON,
    groups,
    movingDecay,
    genome,
    scores,
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}
