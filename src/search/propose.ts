import type { Run } from '../../db/runs.ts';
import type { Store } from '../../db/store.ts';
import { type RandomGenerator, randomStream } from '../eval/random.ts';
import { ALGORITHMS } from './algorithm.ts';
import type { SearchConfig } from './config.ts';
import type { Identified, Identifier, Identity, StructuresInFlight } from './identity.ts';
import { type Member, populationAt } from './select.ts';
import { mutate } from './space.ts';
import { type FunctionsInFlight, TabuList } from './tabu.ts';

/** Draws that were not proposed, by the reason. */
export interface Redraws {
  /** Children that computed what their parent does. */
  readonly neutral: number;
  /** Genomes that computed an over-explored function. */
  readonly tabu: number;
}

export interface ProposerOptions {
  readonly config: SearchConfig;
  readonly store: Store;
  readonly run: Run;
  readonly identifier: Identifier;
}

type InFlight = StructuresInFlight & FunctionsInFlight;

/**
 * Makes proposals with the run's algorithm, and draws again what is not worth proposing (both after
 * "Unified Functional Hashing in AutoML", arXiv 2302.05433):
 *
 * - with functional change, a mutated child that computes what its parent does: it is mutated again. A
 *   child that is rejected for what it is computes something else.
 * - with a tabu list, a genome that computes a function which the run has proposed too often.
 *
 * Proposal i depends on the configuration, on the members that it may see, and on what the proposals
 * before it are, committed or in flight: all of that is known when it is made, whatever the workers do. All
 * draws of one proposal come from its own stream, one after the other.
 */
export class Proposer {
  readonly #config: SearchConfig;
  readonly #identifier: Identifier;
  readonly #tabu: TabuList;
  #redraws: Redraws = { neutral: 0, tabu: 0 };

  constructor({ config, store, run, identifier }: ProposerOptions) {
    this.#config = config;
    this.#identifier = identifier;
    this.#tabu = new TabuList({ store, run, config });
  }

  /** Since this session began. */
  get redraws(): Redraws {
    return this.#redraws;
  }

  /** Makes proposal `index`, from 0, and counts it as proposed; `members` are in order of age. */
  propose(index: number, members: readonly Member[], inFlight: InFlight): Identified {
    const { seed, lookahead, population: window, tabu } = this.#config;
    const population = populationAt(index, members, { lookahead, window });
    const rng = randomStream('proposal', seed, index);
    let drawn = this.#draw(population, rng, inFlight);
    for (let rest = tabu.attempts; rest > 0; rest--) {
      if (!this.#tabu.has(drawn.identity.functionalKey, inFlight)) break;
      this.#again('tabu');
      drawn = this.#draw(population, rng, inFlight);
    }
    this.#tabu.count(drawn.identity.functionalKey);
    return drawn;
  }

  #draw(population: readonly Member[], rng: RandomGenerator, inFlight: InFlight): Identified {
    const { algorithm, functionalChange } = this.#config;
    const { genome, origin } = ALGORITHMS[algorithm](population, this.#config, rng);
    let drawn = this.#identifier.identify({ genome, origin }, inFlight);
    if (origin.kind !== 'mutation' || functionalChange === 0) return drawn;
    const parent = population.find(({ index }) => index === origin.parent) as Member;
    for (let rest = functionalChange; rest > 0 && isNeutral(drawn.identity, parent); rest--) {
      this.#again('neutral');
      const child = mutate(drawn.genome, this.#config, rng);
      drawn = this.#identifier.identify({ genome: child, origin }, inFlight);
    }
    return drawn;
  }

  #again(reason: keyof Redraws): void {
    this.#redraws = { ...this.#redraws, [reason]: this.#redraws[reason] + 1 };
  }
}

/** True where a child computes what its parent does. */
function isNeutral(child: Identity, parent: Member): boolean {
  // A child may be rejected for what its parent, a known layer, is let through with.
  if (child.structuralKey === parent.structuralKey) return true;
  return child.functionalKey !== null && child.functionalKey === parent.functionalKey;
}
