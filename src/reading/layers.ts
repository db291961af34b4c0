import type { Candidate } from '../../db/candidates.ts';
import type { Store } from '../../db/store.ts';
import { UserError } from '../errors.ts';
import {
  type Genome,
  genomeOf,
  isBatchIndependent,
  layerOf,
  verifyGenome,
} from '../graph/genome.ts';
import type { LayerGraph } from '../graph/graph.ts';
import { probe, structuralKey } from '../graph/keys.ts';
import { simplify } from '../graph/simplify.ts';
import { FormulaError, formatLayer, parseLayer } from '../graph/text.ts';
import { ZOO, zooNameOf } from '../graph/zoo.ts';
import { type CandidatePlace, candidateId, parseCandidateId } from '../search/ids.ts';
import { didYouMean } from '../suggest.ts';

/** A layer that somebody named. */
export interface NamedLayer {
  readonly genome: Genome;
  /** Simplified. */
  readonly layer: LayerGraph;
  /** Where it is known without a probe. */
  readonly functionalKey?: string;
  /** What the database says of it, where it was named by its id. */
  readonly candidate: StoredLayer | null;
}

interface StoredLayer extends CandidatePlace {
  readonly stored: Candidate;
  readonly protocolKey: string;
}

/** True where `text` names a layer that only a database knows. */
export const isId = (text: string): boolean => parseCandidateId(text.trim()) !== null;

/**
 * Finds the layer that `text` names: by id, by its name in the zoo, or by a formula. Without a database
 * none can be named by its id. Reads no file, whatever `text` is.
 */
export function namedLayer(store: Store | null, text: string): NamedLayer {
  const place = parseCandidateId(text.trim());
  if (place && store) return fromStore(place, store);
  const known = ZOO.find(({ name }) => name.toLowerCase() === text.trim().toLowerCase());
  if (known) return { ...fromGraph(known.layer), functionalKey: known.functionalKey };
  return fromGraph(fromFormula(text));
}

const fromGraph = (layer: LayerGraph): NamedLayer => ({
  genome: genomeOf(layer),
  layer,
  candidate: null,
});

function fromStore(place: CandidatePlace, store: Store): NamedLayer {
  const protocolKey = store.protocols.ofRun(place.run);
  const stored = store.candidates.at(place.run, place.index);
  if (protocolKey === null || stored === null) {
    const run = store.runs.byId(place.run);
    const wrong = run
      ? `run ${place.run} has proposals 0 to ${run.proposals - 1}`
      : `there is no run ${place.run}`;
    throw new UserError(`There is no layer ${candidateId(place)} in ${store.path}: ${wrong}.`);
  }
  const { genome, functionalKey } = stored;
  // The database may come from anywhere.
  verifyGenome(genome);
  return {
    genome,
    layer: layerOf(genome),
    // What depends on the batch where that was not wanted was not probed.
    ...(functionalKey !== null && { functionalKey }),
    candidate: { ...place, stored, protocolKey },
  };
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

/** What the layer computes; null where it is not finite, or constant. */
export function functionalKeyOf({ layer, functionalKey }: NamedLayer): string | null {
  if (functionalKey !== undefined) return functionalKey;
  const probed = probe(layer);
  return probed.verdict === 'ok' ? probed.functionalKey : null;
}

export function factsOf(named: NamedLayer): LayerFacts {
  const { layer, genome } = named;
  const functionalKey = functionalKeyOf(named);
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
