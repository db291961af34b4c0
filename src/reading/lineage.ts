import type { Candidate } from '../../db/candidates.ts';
import type { Store } from '../../db/store.ts';
import { printable } from '../format.ts';
import { type Genome, liveGraph } from '../graph/genome.ts';
import { type GenomeChange, genomeChanges } from '../graph/outline.ts';
import { simplify } from '../graph/simplify.ts';
import { formatLayer } from '../graph/text.ts';
import { type CandidatePlace, candidateId } from '../search/ids.ts';

/** One candidate on the way from the first ancestor. */
export interface Ancestor {
  /** An id, or the name of a known layer. */
  readonly id: string;
  readonly origin: string;
  readonly formula: string;
  /** Null where it was rejected, which no parent was. */
  readonly fitness: number | null;
  /** What differs from its parent's genome; null for the first ancestor. */
  readonly changes: readonly GenomeChange[] | null;
  /** False where the mutation left the simplified layer as it was. */
  readonly changesLayer: boolean | null;
}

/** The name by which users know a candidate. */
export const nameOf = (
  run: number,
  { index, origin }: Pick<Candidate, 'index' | 'origin'>,
): string => (origin.kind === 'baseline' ? printable(origin.name) : candidateId({ run, index }));

/** Formulas of genomes, made once for all that differ in dead nodes alone, as many relatives do. */
function formulasOnce(): (genome: Genome) => string {
  const known = new Map<string, string>();
  return (genome) => {
    const live = liveGraph(genome);
    const key = JSON.stringify(live.nodes);
    const formula = known.get(key) ?? formatLayer(simplify(live));
    known.set(key, formula);
    return formula;
  };
}

/** From the first ancestor to the candidate itself. */
export function lineageOf({ run, index }: CandidatePlace, { candidates }: Store): Ancestor[] {
  const line: Candidate[] = [];
  for (let at: number | null = index; at !== null; ) {
    const candidate: Candidate | null = candidates.at(run, at);
    if (candidate === null) break;
    line.unshift(candidate);
    // A parent is always older, whatever a database of unknown origin says.
    const { origin } = candidate;
    at = origin.kind === 'mutation' && origin.parent < at ? origin.parent : null;
  }
  const formulaOf = formulasOnce();
  const formulas = line.map(({ genome }) => formulaOf(genome));
  return line.map((candidate, i) => {
    const parent = line[i - 1];
    return {
      id: nameOf(run, candidate),
      origin: candidate.origin.kind,
      formula: formulas[i]!,
      fitness: candidate.fitness,
      changes: parent ? genomeChanges(parent.genome, candidate.genome) : null,
      changesLayer: parent ? formulas[i] !== formulas[i - 1] : null,
    };
  });
}
