import type { Tier } from '../../db/candidates.ts';
import type { Run } from '../../db/runs.ts';
import type { Store } from '../../db/store.ts';
import type { Outcome } from '../eval/outcome.ts';
import type { Genome } from '../graph/genome.ts';
import type { Origin } from './algorithm.ts';
import { decide, type Known } from './cache.ts';
import type { SearchConfig } from './config.ts';
import type { Identified, StructuresInFlight } from './identity.ts';
import { Recency } from './recency.ts';

/** A proposal with what is known of it before any training. */
export interface Screened {
  readonly index: number;
  readonly genome: Genome;
  readonly origin: Origin;
  readonly structuralKey: string;
  readonly functionalKey: string | null;
  readonly tier: Tier | null;
}

/** What a function is worth after proposals that were committed. */
export interface Worth extends Known {
  readonly outcome: Outcome;
}

/** What a function is worth after a proposal that is in flight: known when that has landed. */
export interface Flying extends Known {
  readonly outcome?: never;
}

/** How a proposal goes on. */
export type Screening = { readonly screened: Screened } /** It is nothing to train. */ & (
  | { readonly next: 'rejected'; readonly outcome: Outcome }
  | {
      readonly next: 'take over';
      readonly functionalKey: string;
      readonly known: Worth | Flying;
    }
  | {
      readonly next: 'evaluate';
      readonly functionalKey: string;
      readonly repeat: number;
      /** What its evaluation is averaged with; null where it counts alone. */
      readonly known: Worth | Flying | null;
    }
);

/** What the funnel asks about the proposals that are not committed yet. */
export interface InFlight extends StructuresInFlight {
  /** What a function will be worth after the last of them that computes it. */
  function(functionalKey: string): Flying | null;
  /** The functions that they compute, in their order. */
  functions(): Iterable<string>;
  /** The last evaluation of a function that one of them caused; null where none did. */
  lastRepeat(functionalKey: string): number | null;
}

export interface FunnelOptions {
  readonly store: Store;
  readonly run: Run;
  readonly config: SearchConfig;
}

/**
 * What becomes of a proposal, once it is known what it is: it is rejected at once, or takes over what its
 * function is worth, or is trained.
 *
 * What a function is worth is what its last proposal was worth: of those in flight, else of those that this
 * run committed; else other runs, up to the horizon, tell. A proposal that takes over what another one in
 * flight is going to be worth waits for it; that cannot deadlock, because it waits for an earlier one, and
 * results are committed in the same order.
 */
export class Funnel {
  readonly #store: Store;
  readonly #run: Run;
  readonly #config: SearchConfig;
  readonly #recency: Recency;

  constructor({ store, run, config }: FunnelOptions) {
    this.#store = store;
    this.#run = run;
    this.#config = config;
    // Of other runs there were as many as their numbers say, at most.
    const last = store.candidates.lastIndex(run.id) ?? 0;
    const proposals = run.horizon + config.baselines.length + config.warmStart.length + last + 1;
    this.#recency = new Recency(config.cache.capacity, proposals);
  }

  screen(index: number, { genome, origin, identity }: Identified, inFlight: InFlight): Screening {
    const { structuralKey, functionalKey, recognised } = identity;
    const screened = { index, genome, origin, structuralKey, functionalKey };
    const tier: Tier | null = recognised ? 'structural' : null;
    if (functionalKey === null) {
      const outcome = { outcome: identity.flaw };
      return { screened: { ...screened, tier }, next: 'rejected', outcome };
    }
    const known = this.#known(functionalKey, index, recognised, inFlight);
    const decision = decide(known, index, this.#config);
    if (!known || decision === 'anew') {
      const repeat = this.#nextRepeat(functionalKey, inFlight);
      const alone = { functionalKey, repeat, known: null };
      return { screened: { ...screened, tier: null }, next: 'evaluate', ...alone };
    }
    const by: Tier = tier ?? 'functional';
    const hit = { screened: { ...screened, tier: by }, functionalKey, known };
    if (decision === 'take over') return { ...hit, next: decision };
    return { ...hit, next: 'evaluate', repeat: this.#nextRepeat(functionalKey, inFlight) };
  }

  /** What the cache says of a function that is proposed now; null where it is a miss. */
  #known(
    functionalKey: string,
    index: number,
    recognised: boolean,
    inFlight: InFlight,
  ): Worth | Flying | null {
    const { by, capacity } = this.#config.cache;
    if (by === 'nothing') return null;
    const isRemembered = this.#recency.touch(functionalKey, () => [
      ...this.#store.candidates.lastFunctions(this.#run, capacity),
      ...inFlight.functions(),
    ]);
    if (!isRemembered || (by === 'structure' && !recognised)) return null;
    return inFlight.function(functionalKey) ?? this.#committed(functionalKey, index);
  }

  #committed(functionalKey: string, index: number): Worth | null {
    const { candidates, evaluations } = this.#store;
    const { id, protocolKey, horizon } = this.#run;
    const own = candidates.lastOfFunction(functionalKey, id);
    if (own) {
      const { outcome, evaluations } = own;
      return { outcome, evaluations, rejectedAt: this.#rejectedAt(functionalKey, index, own) };
    }
    const others = evaluations.known(protocolKey, functionalKey, horizon);
    if (!others) return null;
    const isRejected = others.outcome.outcome !== 'evaluated';
    return { ...others, rejectedAt: isRejected ? Number.NEGATIVE_INFINITY : null };
  }

  /** Of what a function is worth after its last proposal `last`. */
  #rejectedAt(
    functionalKey: string,
    index: number,
    last: { readonly index: number; readonly outcome: Outcome },
  ): number | null {
    if (last.outcome.outcome === 'evaluated') return null;
    // Long enough ago; when exactly does not matter.
    if (last.index <= index - this.#config.lookahead) return last.index;
    return (
      this.#store.candidates.rejectedAt(functionalKey, this.#run.id) ?? Number.NEGATIVE_INFINITY
    );
  }

  /** Counts evaluations of a function: those of this run, or if it has none, those that it knows of. */
  #nextRepeat(functionalKey: string, inFlight: InFlight): number {
    const { candidates, evaluations } = this.#store;
    const { id, protocolKey, horizon } = this.#run;
    const last =
      inFlight.lastRepeat(functionalKey) ??
      candidates.lastRepeat(functionalKey, id) ??
      evaluations.known(protocolKey, functionalKey, horizon)?.repeat ??
      -1;
    return last + 1;
  }
}
