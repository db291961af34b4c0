import type { KnownStructure } from '../../db/candidates.ts';
import type { Run } from '../../db/runs.ts';
import type { Store } from '../../db/store.ts';
import { type Genome, layerOf } from '../graph/genome.ts';
import type { LayerGraph } from '../graph/graph.ts';
import { probe, structuralKey } from '../graph/keys.ts';
import type { Clock } from './clock.ts';

/** What a genome is, dead nodes left out. */
export interface Structure {
  readonly layer: LayerGraph;
  readonly structuralKey: string;
}

/** What a structure computes: a function, or nothing worth training. */
export type Identity = {
  /** How that was found: the structure had been there before, or it ran. */
  readonly by: 'structure' | 'probe';
} & (
  | { readonly functionalKey: string }
  | { readonly functionalKey: null; readonly flaw: 'not-finite' | 'constant' }
);

/** What is known of the structures of proposals that are not committed yet. */
export interface StructuresInFlight {
  knownStructure(structuralKey: string): KnownStructure | null;
}

/** What it took to tell what genomes are. */
export interface IdentityCost {
  readonly probes: number;
  /** Time of this thread for structural keys and probes, questions to the database left out. */
  readonly seconds: number;
}

/**
 * Tells what genomes are: by their structure where it is known from a proposal in flight, from this run or,
 * up to the run's horizon, from another one; else by the probe.
 */
export class Identifier {
  readonly #store: Store;
  readonly #run: Run;
  readonly #clock: Pick<Clock, 'now'>;
  #probes = 0;
  #milliseconds = 0;

  constructor(store: Store, run: Run, clock: Pick<Clock, 'now'>) {
    this.#store = store;
    this.#run = run;
    this.#clock = clock;
  }

  get cost(): IdentityCost {
    return { probes: this.#probes, seconds: this.#milliseconds / 1000 };
  }

  structureOf(genome: Genome): Structure {
    return this.#timed(() => {
      const layer = layerOf(genome);
      return { layer, structuralKey: structuralKey(layer) };
    });
  }

  identify(structure: Structure, inFlight: StructuresInFlight): Identity {
    const known = this.#known(structure.structuralKey, inFlight);
    return known ? recalled(known) : this.#probed(structure.layer);
  }

  #known(key: string, inFlight: StructuresInFlight): KnownStructure | null {
    const { id, horizon } = this.#run;
    return inFlight.knownStructure(key) ?? this.#store.candidates.knownStructure(key, id, horizon);
  }

  #probed(layer: LayerGraph): Identity {
    this.#probes++;
    const result = this.#timed(() => probe(layer));
    return result.verdict === 'ok'
      ? { by: 'probe', functionalKey: result.functionalKey }
      : { by: 'probe', functionalKey: null, flaw: result.verdict };
  }

  #timed<T>(work: () => T): T {
    const start = this.#clock.now();
    const result = work();
    this.#milliseconds += this.#clock.now() - start;
    return result;
  }
}

function recalled({ functionalKey, outcome }: KnownStructure): Identity {
  if (functionalKey !== null) return { by: 'structure', functionalKey };
  if (outcome === 'not-finite' || outcome === 'constant')
    return { by: 'structure', functionalKey: null, flaw: outcome };
  throw new Error(`internal: a structure without function ended as ${outcome}`);
}
