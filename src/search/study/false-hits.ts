import type { Candidate } from '../../../db/candidates.ts';
import { type Genome, layerOf } from '../../graph/genome.ts';
import { probe } from '../../graph/keys.ts';
import type { SearchConfig } from '../config.ts';

/** The precision at which functions are told apart: the probe rounds away what lies 24 bits below the largest entry. */
export const REFERENCE_BITS = 24;

/** The functional key of the highest precision. */
export function referenceKey(genome: Genome): string {
  const result = probe(layerOf(genome), { mantissaBits: REFERENCE_BITS });
  return result.verdict === 'ok' ? result.functionalKey : result.verdict;
}

/**
 * How many of a run's proposals took over the evaluation of another function, as the keys of the highest
 * precision tell. `candidates` are all of the run, in order; it is about hits by `by` 'function', where
 * each evaluation replaces what was known.
 */
export function falseHits(
  candidates: readonly Candidate[],
  by: SearchConfig['cache']['by'],
): number {
  if (by !== 'function') return 0;
  const references = new Map<string, string>();
  const keyOf = ({ structuralKey, genome }: Candidate): string => {
    const key = references.get(structuralKey) ?? referenceKey(genome);
    references.set(structuralKey, key);
    return key;
  };
  const evaluatedFor = new Map<string, string>();
  let count = 0;
  for (const candidate of candidates) {
    const { index, functionalKey, repeat } = candidate;
    if (functionalKey === null) continue;
    const key = keyOf(candidate);
    if (repeat !== null) evaluatedFor.set(functionalKey, key);
    else if (index >= 0 && evaluatedFor.get(functionalKey) !== key) count++;
  }
  return count;
}
