import type { Tier } from '../../db/candidates.ts';
import type { Run } from '../../db/runs.ts';
import type { Store } from '../../db/store.ts';
import type { Outcome } from '../eval/outcome.ts';
import type { Genome } from '../graph/genome.ts';
import type { Origin } from './algorithm.ts';
import type { Identified, StructuresInFlight } from './identity.ts';

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
 * What becomes of a proposal, once it is known what it is: it is rejected at once, or taken over from the
 * equivalence cache, or trained.
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

  constructor(store: Store, run: Run) {
    this.#store = store;
    this.#run = run;
  }

  screen(index: number, { genome, origin, identity }: Identified, inFlight: InFlight): Screening {
    const { structuralKey, functionalKey, recognised } = identity;
    const tier = recognised ? 'structural' : null;
    const screened = { index, genome, origin, structuralKey, functionalKey, tier } as const;
    if (functionalKey === null) return settled(screened, { outcome: identity.flaw });
    return this.#lookUp(screened, functionalKey, inFlight);
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
