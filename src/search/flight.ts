import type { Audit } from '../../db/audits.ts';
import type { KnownStructure } from '../../db/candidates.ts';
import type { Settled } from '../../db/store.ts';
import type { JobResult } from '../../workers/messages.ts';
import type { Outcome } from '../eval/outcome.ts';
import { worthAfter } from './cache.ts';
import type { Flying, InFlight, Screened, Screening } from './funnel.ts';
import { fitnessOf } from './select.ts';

/** What workers did for a proposal. */
export interface Landed {
  /** The evaluation that it causes; null where it causes none. */
  readonly evaluation: JobResult | null;
  /** Null where it is not audited. */
  readonly audit: Audit | null;
}

/** What workers do for a proposal: null in the end where that was given up. Never rejects. */
export type Work = Promise<Landed | null>;

const NOTHING: Landed = { evaluation: null, audit: null };

/** What it is worth came from elsewhere: nobody spent time on it here. */
const free = (outcome: Outcome): Outcome =>
  outcome.outcome === 'evaluated'
    ? { ...outcome, perAnchor: outcome.perAnchor.map((score) => ({ ...score, seconds: 0 })) }
    : outcome;

/** Proposals of one function in a row, of which each one's worth is made of that of the one before. */
interface Chain {
  /** The first of them that was rejected. */
  rejectedAt: number | null;
}

/** A proposal that is not committed yet. */
class Entry implements Flying {
  readonly screened: Screened;
  /** What counts for its worth; 0 where it is nothing to train. */
  readonly evaluations: number;
  /** The evaluation that it causes; null where it causes none. */
  readonly repeat: number | null;
  readonly chain: Chain;
  /** The worth of its function before; null where that does not count. */
  #before: Entry | Outcome | null;
  /** Null as long as that is open. */
  readonly #landed: () => Landed | null;
  #worth: Outcome | null = null;

  constructor(screening: Screening, previous: Entry | null, landed: () => Landed | null) {
    this.#landed = landed;
    this.screened = screening.screened;
    this.repeat = screening.next === 'evaluate' ? screening.repeat : null;
    const known = screening.next === 'rejected' ? null : screening.known;
    this.evaluations = (known?.evaluations ?? 0) + (this.repeat === null ? 0 : 1);
    this.chain = previous?.chain ?? { rejectedAt: known?.rejectedAt ?? null };
    this.#before =
      screening.next === 'rejected' ? screening.outcome : (previous ?? known?.outcome ?? null);
  }

  get rejectedAt(): number | null {
    return this.chain.rejectedAt;
  }

  /** What it is worth and what it cost, all before it being settled; null where that is open. */
  settle(): Settled | null {
    const { screened, repeat } = this;
    const landed = this.#landed();
    if (!landed) return null;
    const { evaluation, audit } = landed;
    const outcome = this.#worthOf(evaluation);
    this.#worth = outcome;
    // What is settled needs nobody any more, or the first of a chain would live as long as the last.
    this.#before = null;
    if (outcome.outcome !== 'evaluated') this.chain.rejectedAt ??= screened.index;
    return {
      ...screened,
      outcome,
      evaluations: screened.functionalKey === null ? null : this.evaluations,
      evaluation: repeat === null || !evaluation ? null : { repeat, ...evaluation },
      audit,
      fitness: outcome.outcome === 'evaluated' ? fitnessOf(outcome) : null,
    };
  }

  #worthOf(result: JobResult | null): Outcome {
    const before = this.#before instanceof Entry ? this.#before.#worth : this.#before;
    if (before) return result ? worthAfter(before, result.outcome, this.evaluations) : free(before);
    if (!result) throw new Error('internal: a proposal of no worth');
    return result.outcome;
  }
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
  /** The last entry of each function, and the last one that evaluates it. */
  readonly #functions = new Map<string, Entry>();
  readonly #evaluating = new Map<string, Entry>();

  /** `onLanding` is called when the workers are done with a proposal. */
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

  function(functionalKey: string): Flying | null {
    return this.#functions.get(functionalKey) ?? null;
  }

  functions(): string[] {
    return this.#entries.flatMap(({ screened }) => screened.functionalKey ?? []);
  }

  lastRepeat(functionalKey: string): number | null {
    return this.#evaluating.get(functionalKey)?.repeat ?? null;
  }

  /** Adds the next proposal, which is not settled before its work has ended; `work` is null where it needs none. */
  add(screening: Screening, work: Work | null): void {
    const landed = work ? this.#landingOf(work) : () => NOTHING;
    const entry = new Entry(screening, this.#previous(screening), landed);
    this.#entries.push(entry);
    const { structuralKey, functionalKey } = entry.screened;
    if (functionalKey !== null) this.#functions.set(functionalKey, entry);
    if (screening.next === 'evaluate') this.#evaluating.set(screening.functionalKey, entry);
    const outcome = screening.next === 'rejected' ? screening.outcome.outcome : 'evaluated';
    if (outcome !== 'batch-dependent')
      this.#structures.set(structuralKey, { functionalKey, outcome, last: entry });
  }

  /** Takes the proposals from the first up to the first that has no result yet. They stay until they are committed. */
  take(): Settled[] {
    const ready: Settled[] = [];
    for (; this.#taken < this.#entries.length; this.#taken++) {
      const settled = (this.#entries[this.#taken] as Entry).settle();
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

  #landingOf(work: Work): () => Landed | null {
    let landed: Landed | null = null;
    work.then((value) => {
      landed = value;
      this.#onLanding();
    });
    return () => landed;
  }

  /** The entry whose worth the next one builds on. */
  #previous(screening: Screening): Entry | null {
    if (screening.next === 'rejected' || !screening.known || screening.known.outcome) return null;
    const entry = this.#functions.get(screening.functionalKey);
    if (!entry) throw new Error('internal: nothing in flight to build on');
    return entry;
  }

  #forget(entry: Entry) {
    const { structuralKey, functionalKey } = entry.screened;
    if (this.#structures.get(structuralKey)?.last === entry) this.#structures.delete(structuralKey);
    if (functionalKey === null) return;
    if (this.#functions.get(functionalKey) === entry) this.#functions.delete(functionalKey);
    if (this.#evaluating.get(functionalKey) === entry) this.#evaluating.delete(functionalKey);
  }
}
