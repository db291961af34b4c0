import type { KnownStructure } from '../../db/candidates.ts';
import type { Settled } from '../../db/store.ts';
import type { JobResult } from '../../workers/messages.ts';
import type { Outcome } from '../eval/outcome.ts';
import type { InFlight, Screened, Screening } from './funnel.ts';
import { fitnessOf } from './select.ts';

/** How an evaluation went: a result, a failure that ends the run, or null where it was given up. */
export type Landing = { readonly result: JobResult } | { readonly failure: unknown } | null;

/** A proposal that is not committed yet. */
interface Entry {
  readonly screened: Screened;
  readonly repeat: number | null;
  /** Resolves when it can be asked how it went; never rejects. */
  readonly landed: Promise<unknown>;
  readonly landing: () => Landing;
}

/** A result that came from elsewhere: nobody spent time on it here. */
const free = (outcome: Outcome): JobResult => ({
  seconds: 0,
  outcome:
    outcome.outcome === 'evaluated'
      ? { ...outcome, perAnchor: outcome.perAnchor.map((score) => ({ ...score, seconds: 0 })) }
      : outcome,
});

const settle = ({ screened, repeat }: Entry, { outcome, seconds }: JobResult): Settled => ({
  ...screened,
  repeat,
  outcome,
  seconds,
  fitness: outcome.outcome === 'evaluated' ? fitnessOf(outcome) : null,
});

/** The proposals between the last commit and the newest one, in order. */
export class Flight implements InFlight {
  readonly #entries: Entry[] = [];
  /** Each with the last entry that has this structure. */
  readonly #structures = new Map<string, KnownStructure & { readonly last: Entry }>();
  readonly #evaluating = new Map<string, Entry>();

  get size(): number {
    return this.#entries.length;
  }

  knownStructure(structuralKey: string): KnownStructure | null {
    return this.#structures.get(structuralKey) ?? null;
  }

  isEvaluating(functionalKey: string): boolean {
    return this.#evaluating.has(functionalKey);
  }

  /** Adds the next proposal; `evaluate` is called where it needs an evaluation of its own. */
  add(screening: Screening, evaluate: (functionalKey: string) => Promise<Landing>): void {
    const entry = this.#entry(screening, evaluate);
    this.#entries.push(entry);
    const { structuralKey, functionalKey } = entry.screened;
    if (screening.next === 'evaluate') this.#evaluating.set(screening.functionalKey, entry);
    const outcome = screening.next === 'settled' ? screening.outcome.outcome : 'evaluated';
    if (outcome !== 'batch-dependent')
      this.#structures.set(structuralKey, { functionalKey, outcome, last: entry });
  }

  /** Resolves when the first proposal has landed. Throws where that ends the run. */
  async first(): Promise<void> {
    const entry = this.#entries[0];
    await entry?.landed;
    const landing = entry?.landing();
    if (landing && 'failure' in landing) throw landing.failure;
  }

  /** Removes the proposals from the first up to the first that has no result yet. */
  takeReady(): Settled[] {
    const ready: Settled[] = [];
    for (const entry of this.#entries) {
      const landing = entry.landing();
      if (!landing || 'failure' in landing) break;
      ready.push(settle(entry, landing.result));
    }
    for (const entry of this.#entries.splice(0, ready.length)) this.#forget(entry);
    return ready;
  }

  #entry(screening: Screening, evaluate: (functionalKey: string) => Promise<Landing>): Entry {
    const { screened } = screening;
    if (screening.next === 'settled') {
      const landing = { result: free(screening.outcome) };
      return { screened, repeat: null, landed: Promise.resolve(), landing: () => landing };
    }
    if (screening.next === 'evaluate') {
      let landing: Landing = null;
      const landed = evaluate(screening.functionalKey).then((value) => {
        landing = value;
      });
      return { screened, repeat: 0, landed, landing: () => landing };
    }
    const leader = this.#evaluating.get(screening.functionalKey);
    if (!leader) throw new Error('internal: nothing in flight to follow');
    const landing = (): Landing => {
      const at = leader.landing();
      return at && 'result' in at ? { result: free(at.result.outcome) } : at;
    };
    return { screened, repeat: null, landed: leader.landed, landing };
  }

  #forget(entry: Entry) {
    const { structuralKey, functionalKey } = entry.screened;
    if (this.#structures.get(structuralKey)?.last === entry) this.#structures.delete(structuralKey);
    if (functionalKey !== null && this.#evaluating.get(functionalKey) === entry)
      this.#evaluating.delete(functionalKey);
  }
}
