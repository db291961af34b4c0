import type { KnownStructure } from '../../db/candidates.ts';
import type { Settled } from '../../db/store.ts';
import type { JobResult } from '../../workers/messages.ts';
import type { Outcome } from '../eval/outcome.ts';
import type { InFlight, Screened, Screening } from './funnel.ts';
import { fitnessOf } from './select.ts';

/** Evaluates a function; null where that was given up. Never rejects. */
export type Evaluate = (functionalKey: string) => Promise<JobResult | null>;

/** A proposal that is not committed yet. */
interface Entry {
  readonly screened: Screened;
  readonly repeat: number | null;
  readonly landing: Landing;
  /** Of its own graph, though its outcome is taken over; null where it is not audited. */
  readonly audit: Landing | null;
}

/** How something ended; null as long as that is open. */
type Landing = () => JobResult | null;

/** A result that came from elsewhere: nobody spent time on it here. */
const free = (outcome: Outcome): JobResult => ({
  seconds: 0,
  outcome:
    outcome.outcome === 'evaluated'
      ? { ...outcome, perAnchor: outcome.perAnchor.map((score) => ({ ...score, seconds: 0 })) }
      : outcome,
});

/** Null as long as something of it is open. */
function settle({ screened, repeat, landing, audit: auditing }: Entry): Settled | null {
  const [result, audit] = [landing(), auditing?.() ?? null];
  if (!result || (auditing && !audit)) return null;
  const { outcome, seconds } = result;
  return {
    ...screened,
    outcome,
    evaluations: screened.functionalKey === null ? null : 1,
    evaluation: repeat === null ? null : { repeat, outcome, seconds },
    audit: audit && { kind: 'hit', ...audit },
    fitness: outcome.outcome === 'evaluated' ? fitnessOf(outcome) : null,
  };
}

/**
 * The proposals between the last commit and the newest one, in order. The first of them may be taken
 * already: settled, so that later proposals build on them, and not yet committed.
 */
export class Flight implements InFlight {
  readonly #onLanding: () => void;
  readonly #entries: Entry[] = [];
  #taken = 0;
  /** Each with the last entry that has this structure. */
  readonly #structures = new Map<string, KnownStructure & { readonly last: Entry }>();
  readonly #evaluating = new Map<string, Entry>();

  /** `onLanding` is called when an evaluation has ended. */
  constructor(onLanding: () => void) {
    this.#onLanding = onLanding;
  }

  /** How many are not taken. */
  get size(): number {
    return this.#entries.length - this.#taken;
  }

  knownStructure(structuralKey: string): KnownStructure | null {
    return this.#structures.get(structuralKey) ?? null;
  }

  timesProposed(functionalKey: string): number {
    const computes = ({ screened }: Entry) =>
      screened.index >= 0 && screened.functionalKey === functionalKey;
    return this.#entries.filter(computes).length;
  }

  isEvaluating(functionalKey: string): boolean {
    return this.#evaluating.has(functionalKey);
  }

  /**
   * Adds the next proposal; `evaluate` is called where it needs an evaluation of its own. One that is
   * audited is not settled before `audit` has ended.
   */
  add(screening: Screening, evaluate: Evaluate, audit: ReturnType<Evaluate> | null = null): void {
    const entry = {
      ...this.#entry(screening, evaluate),
      audit: audit && this.#landingOf(audit),
    };
    this.#entries.push(entry);
    const { structuralKey, functionalKey } = entry.screened;
    if (screening.next === 'evaluate') this.#evaluating.set(screening.functionalKey, entry);
    const outcome = screening.next === 'settled' ? screening.outcome.outcome : 'evaluated';
    if (outcome !== 'batch-dependent')
      this.#structures.set(structuralKey, { functionalKey, outcome, last: entry });
  }

  /** Takes the proposals from the first up to the first that has no result yet. They stay until they are committed. */
  take(): Settled[] {
    const ready: Settled[] = [];
    for (; this.#taken < this.#entries.length; this.#taken++) {
      const entry = this.#entries[this.#taken] as Entry;
      const settled = settle(entry);
      if (!settled) break;
      ready.push(settled);
    }
    return ready;
  }

  /** Removes the first proposals, which are committed now. */
  committed(count: number): void {
    for (const entry of this.#entries.splice(0, count)) this.#forget(entry);
    this.#taken -= count;
  }

  #entry(screening: Screening, evaluate: Evaluate): Omit<Entry, 'audit'> {
    const { screened } = screening;
    if (screening.next === 'settled') {
      const result = free(screening.outcome);
      return { screened, repeat: null, landing: () => result };
    }
    if (screening.next === 'evaluate') {
      const landing = this.#landingOf(evaluate(screening.functionalKey));
      return { screened, repeat: 0, landing };
    }
    const leader = this.#evaluating.get(screening.functionalKey);
    if (!leader) throw new Error('internal: nothing in flight to follow');
    const landing = () => {
      const result = leader.landing();
      return result && free(result.outcome);
    };
    return { screened, repeat: null, landing };
  }

  #landingOf(job: Promise<JobResult | null>): Landing {
    let result: JobResult | null = null;
    job.then((value) => {
      result = value;
      this.#onLanding();
    });
    return () => result;
  }

  #forget(entry: Entry) {
    const { structuralKey, functionalKey } = entry.screened;
    if (this.#structures.get(structuralKey)?.last === entry) this.#structures.delete(structuralKey);
    if (functionalKey !== null && this.#evaluating.get(functionalKey) === entry)
      this.#evaluating.delete(functionalKey);
  }
}
