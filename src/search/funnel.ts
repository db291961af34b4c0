import type { Tier } from '../../db/candidates.ts';
import type { Run } from '../../db/runs.ts';
import type { Store } from '../../db/store.ts';
import type { Outcome } from '../eval/outcome.ts';
import { type Genome, isBatchIndependent } from '../graph/genome.ts';
import type { Origin, Proposal } from './algorithm.ts';
import type { Identifier, StructuresInFlight } from './identity.ts';

/** A proposal with what is known of it before any training. */
export interface Screened {
  readonly index: number;
  readonly genome: Genome;
  readonly origin: Origin;
  readonly structuralKey: string;
  readonly functionalKey: string | null;
  readonly tier: Tier | null;
}

/** How a proposal goes on. */
export type Screening = { readonly screened: Screened } & (
  | { readonly next: 'settled'; readonly outcome: Outcome }
  /** Another proposal in flight evaluates the same function. */
  | { readonly next: 'follow'; readonly functionalKey: string }
  | { readonly next: 'evaluate'; readonly functionalKey: string }
);

/** What the funnel asks about the proposals that are not committed yet. */
export interface InFlight extends StructuresInFlight {
  /** True where one of them evaluates this function. */
  isEvaluating(functionalKey: string): boolean;
}

/**
 * The funnel up to the training, which costs next to nothing: batch independence where it is wanted, the
 * structural key, the probe, and the equivalence cache.
 *
 * A function is evaluated once in a run. Later proposals of the same function take over how that ended:
 * from the database where it is committed, else by waiting for the one that evaluates. Which one that is
 * follows from the order of the proposals alone, so it depends neither on the number of workers nor on
 * timing; and waiting cannot deadlock, because a proposal waits for an earlier one, and results are
 * committed in the same order. What other runs evaluated counts up to the run's horizon.
 */
export class Funnel {
  readonly #store: Store;
  readonly #run: Run;
  readonly #identifier: Identifier;
  readonly #batchIndependent: boolean;

  constructor(
    store: Store,
    run: Run,
    identifier: Identifier,
    settings: { readonly batchIndependent: boolean },
  ) {
    this.#store = store;
    this.#run = run;
    this.#identifier = identifier;
    this.#batchIndependent = settings.batchIndependent;
  }

  screen(index: number, { genome, origin }: Proposal, inFlight: InFlight): Screening {
    const structure = this.#identifier.structureOf(genome);
    const { layer, structuralKey } = structure;
    const base = { index, genome, origin, structuralKey, functionalKey: null, tier: null };
    // Baselines are the bar to beat, also for layers that may not do what they do.
    if (this.#batchIndependent && origin.kind !== 'baseline' && !isBatchIndependent(layer))
      return settled(base, { outcome: 'batch-dependent' });
    const identity = this.#identifier.identify(structure, inFlight);
    const tier = identity.by === 'structure' ? 'structural' : null;
    const { functionalKey } = identity;
    if (functionalKey === null) return settled({ ...base, tier }, { outcome: identity.flaw });
    return this.#lookUp({ ...base, functionalKey, tier }, functionalKey, inFlight);
  }

  #lookUp(screened: Screened, functionalKey: string, inFlight: InFlight): Screening {
    const { id, protocolKey, horizon } = this.#run;
    const hit: Screened = { ...screened, tier: screened.tier ?? 'functional' };
    if (inFlight.isEvaluating(functionalKey))
      return { next: 'follow', screened: hit, functionalKey };
    const { candidates, evaluations } = this.#store;
    const outcome =
      candidates.firstOfFunction(functionalKey, id)?.outcome ??
      evaluations.known(protocolKey, functionalKey, horizon);
    return outcome ? settled(hit, outcome) : { next: 'evaluate', screened, functionalKey };
  }
}

const settled = (screened: Screened, outcome: Outcome): Screening => ({
  next: 'settled',
  screened,
  outcome,
});
