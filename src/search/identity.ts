import type { KnownStructure } from '../../db/candidates.ts';
import type { Run } from '../../db/runs.ts';
import type { Store } from '../../db/store.ts';
import { type Genome, isBatchIndependent, layerOf } from '../graph/genome.ts';
import type { LayerGraph } from '../graph/graph.ts';
import { probe, structuralKey } from '../graph/keys.ts';
import type { Proposal } from './algorithm.ts';
import type { Clock } from './clock.ts';

/** Why a genome is not worth training, as far as that can be told without. */
type Flaw = 'not-finite' | 'constant' | 'batch-dependent';

/** What a genome is: a function, or nothing that is worth training. */
export type Identity = {
  readonly structuralKey: string;
  /** True where an earlier candidate of this structure told what it computes, so that nothing had to run. */
  readonly recognised: boolean;
} & ({ readonly functionalKey: string } | { readonly functionalKey: null; readonly flaw: Flaw });

/** A proposal with what it is. */
export interface Identified extends Proposal {
  readonly identity: Identity;
}

/** What is known of the structures of proposals that are not committed yet. */
export interface StructuresInFlight {
  knownStructure(structuralKey: string): KnownStructure | null;
}

/** What it took to tell what genomes are. */
export interface IdentityCost {
  readonly probes: number;
  /** Seconds of this thread for structural keys and probes, questions to the database left out. */
  readonly screening: number;
}

export interface IdentifierOptions {
  readonly store: Store;
  readonly run: Run;
  readonly clock: Pick<Clock, 'now'>;
  readonly config: {
    readonly batchIndependent: boolean;
    readonly cache: { readonly mantissaBits: number };
  };
}

/**
 * Tells what genomes are: by their structure where it is known from a proposal in flight, from this run or,
 * up to the run's horizon, from another one; else by the probe.
 */
export class Identifier {
  readonly #options: IdentifierOptions;
  #identified = 0;
  #probes = 0;
  #milliseconds = 0;

  constructor(options: IdentifierOptions) {
    this.#options = options;
  }

  get cost(): IdentityCost {
    return { probes: this.#probes, screening: this.#milliseconds / 1000 };
  }

  /** Genomes that it was asked about so far. */
  get identified(): number {
    return this.#identified;
  }

  identify(proposal: Proposal, inFlight: StructuresInFlight): Identified {
    this.#identified++;
    return { ...proposal, identity: this.#identityOf(proposal, inFlight) };
  }

  #identityOf({ genome, origin }: Proposal, inFlight: StructuresInFlight): Identity {
    const { layer, key } = this.#timed(() => keyed(genome));
    // Baselines are the bar to beat, also for layers that may not do what they do.
    const mayBeDependent = origin.kind === 'baseline' || !this.#options.config.batchIndependent;
    if (!mayBeDependent && !isBatchIndependent(layer)) return flawed(key, false, 'batch-dependent');
    const known = this.#known(key, inFlight);
    return known ? recalled(key, known) : this.#probed(key, layer);
  }

  #known(key: string, inFlight: StructuresInFlight): KnownStructure | null {
    const { store, run, config } = this.#options;
    const { mantissaBits } = config.cache;
    return (
      inFlight.knownStructure(key) ?? store.candidates.knownStructure(key, { ...run, mantissaBits })
    );
  }

  #probed(structuralKey: string, layer: LayerGraph): Identity {
    this.#probes++;
    const { mantissaBits } = this.#options.config.cache;
    const result = this.#timed(() => probe(layer, { mantissaBits }));
    if (result.verdict !== 'ok') return flawed(structuralKey, false, result.verdict);
    return { structuralKey, recognised: false, functionalKey: result.functionalKey };
  }

  #timed<T>(work: () => T): T {
    const { clock } = this.#options;
    const start = clock.now();
    const result = work();
    this.#milliseconds += clock.now() - start;
    return result;
  }
}

function keyed(genome: Genome): { readonly layer: LayerGraph; readonly key: string } {
  const layer = layerOf(genome);
  return { layer, key: structuralKey(layer) };
}

const flawed = (structuralKey: string, recognised: boolean, flaw: Flaw): Identity => ({
  ...{ structuralKey, recognised, functionalKey: null, flaw },
});

function recalled(structuralKey: string, { functionalKey, outcome }: KnownStructure): Identity {
  if (functionalKey !== null) return { structuralKey, recognised: true, functionalKey };
  if (outcome === 'not-finite' || outcome === 'constant')
    return flawed(structuralKey, true, outcome);
  throw new Error(`internal: a structure without function ended as ${outcome}`);
}
