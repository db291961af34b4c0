import type { Candidate } from '../../db/candidates.ts';
import type { Store } from '../../db/store.ts';
import { UserError } from '../errors.ts';
import { type Genome, genomeOf, isBatchIndependent, layerOf } from '../graph/genome.ts';
import type { LayerGraph } from '../graph/graph.ts';
import { probe, structuralKey } from '../graph/keys.ts';
import { simplify } from '../graph/simplify.ts';
import { FormulaError, formatLayer, parseLayer } from '../graph/text.ts';
import { ZOO, zooNameOf } from '../graph/zoo.ts';
import { type CandidatePlace, candidateId, parseCandidateId } from '../search/ids.ts';
import { didYouMean } from '../suggest.ts';
import { reading } from './reading.ts';

/** A layer that the user named. */
export interface NamedLayer {
  readonly genome: Genome;
  /** Simplified. */
  readonly layer: LayerGraph;
  /** What the database says of it, where it was named by its id. */
  readonly candidate: StoredLayer | null;
}

interface StoredLayer extends CandidatePlace {
  readonly stored: Candidate;
  /** What it is a mutation of: an id, or a name of the zoo. */
  readonly parent: string | null;
  readonly protocolKey: string;
}

/** Finds the layer that `text` names: by id, by its name in the zoo, or by a formula. */
export function findLayer(text: string, db: string): NamedLayer {
  const place = parseCandidateId(text.trim());
  if (place) return fromStore(place, db);
  const known = ZOO.find(({ name }) => name.toLowerCase() === text.trim().toLowerCase());
  return fromGraph(known?.layer ?? fromFormula(text));
}

const fromGraph = (layer: LayerGraph): NamedLayer => ({
  genome: genomeOf(layer),
  layer,
  candidate: null,
});

function fromStore(place: CandidatePlace, db: string): NamedLayer {
  return reading(db, (store) => {
    const run = store.runs.byId(place.run);
    const stored = run && store.candidates.at(place.run, place.index);
    if (stored)
      return {
        genome: stored.genome,
        layer: layerOf(stored.genome),
        candidate: {
          ...{ ...place, stored, protocolKey: run.protocolKey },
          parent: parentOf(stored, place, store),
        },
      };
    const wrong = run
      ? `run ${place.run} has proposals 0 to ${run.proposals - 1}`
      : `there is no run ${place.run}`;
    throw new UserError(`There is no layer ${candidateId(place)} in ${db}: ${wrong}.`);
  });
}

function parentOf({ origin }: Candidate, { run }: CandidatePlace, store: Store): string | null {
  if (origin.kind !== 'mutation') return null;
  const index = origin.parent;
  const parent = store.candidates.at(run, index)?.origin;
  return parent?.kind === 'baseline' ? parent.name : candidateId({ run, index });
}

function fromFormula(text: string): LayerGraph {
  try {
    return simplify(parseLayer(text));
  } catch (error) {
    // One word was hardly meant as a formula.
    if (!(error instanceof FormulaError) || !/^\s*[\w-]{4,}\s*$/.test(text)) throw error;
    const names = ZOO.map(({ name }) => name);
    const guess = didYouMean(text.trim(), names) || ` The zoo has ${names.join(', ')}.`;
    throw new UserError(
      `${JSON.stringify(text.trim())} is no layer's id, no name in the zoo and no formula.${guess}`,
    );
  }
}

/** What can be said of a layer without running it. */
export interface LayerFacts {
  readonly formula: string;
  readonly zooName: string | null;
  readonly structuralKey: string;
  /** Null for a layer that is not finite, or constant. */
  readonly functionalKey: string | null;
  readonly batchIndependent: boolean;
  readonly liveNodes: number;
  readonly genome: Genome;
}

export function factsOf({ layer, genome }: Pick<NamedLayer, 'layer' | 'genome'>): LayerFacts {
  const probed = probe(layer);
  const functionalKey = probed.verdict === 'ok' ? probed.functionalKey : null;
  return {
    formula: formatLayer(layer),
    zooName: zooNameOf(functionalKey),
    structuralKey: structuralKey(layer),
    functionalKey,
    batchIndependent: isBatchIndependent(layer),
    liveNodes: layer.nodes.length,
    genome,
  };
}
