// What the cache promises, word for word and without any thought of speed: everything is kept, and looked through.
import type { Candidate, Tier } from '../../db/candidates.ts';
import type { Outcome } from '../../src/eval/outcome.ts';
import { evaluationSeed, type Protocol } from '../../src/eval/protocol.ts';
import { randomStream } from '../../src/eval/random.ts';
import type { SearchConfig } from '../../src/search/config.ts';
import { chance } from '../../src/search/random.ts';

/** A candidate as it was committed, in the order of all commits to a database. */
export interface Committed {
  readonly run: number;
  readonly protocol: Protocol;
  readonly candidate: Candidate;
}

/** What the rules say of a candidate. */
export type Verdict = Pick<Candidate, 'tier' | 'repeat' | 'evaluations' | 'outcome' | 'fitness'>;

/** A proposal of one function, as the rules left it. */
interface Proposed {
  readonly index: number;
  readonly key: string;
  readonly structure: string;
  /** Whether what was before counts for it. */
  readonly alone: boolean;
  readonly repeat: number | null;
  readonly evaluations: number;
  readonly worth: Outcome;
}

/** What an evaluation with this seed gives. */
export type Evaluation = (seed: string, protocol: Protocol) => Outcome;

const isRejection = ({ outcome }: Outcome) => outcome !== 'evaluated';
const isLasting = ({ outcome }: Outcome) => outcome !== 'timeout' && outcome !== 'crashed';

/** The verdicts on all candidates of a run, in order; `others` is what was committed when it began. */
export function verdicts(
  candidates: readonly Candidate[],
  others: readonly Committed[],
  config: SearchConfig,
  evaluate: Evaluation,
): Verdict[] {
  const past: Proposed[] = [];
  const own = (key: string) => past.filter((proposed) => proposed.key === key);
  const seen = config.cache.shared ? others : [];
  const rules = new Rules(seen, config, evaluate);
  const structures = new Set(
    seen
      .filter(({ candidate }) => candidate.outcome.outcome !== 'batch-dependent')
      .map(({ candidate }) => candidate.structuralKey),
  );
  return candidates.map((candidate) => {
    const { structuralKey, functionalKey, index } = candidate;
    const recognised = structures.has(structuralKey);
    if (candidate.outcome.outcome !== 'batch-dependent') structures.add(structuralKey);
    if (functionalKey === null)
      return {
        ...{ tier: recognised ? 'structural' : null, repeat: null, evaluations: null },
        ...{ outcome: candidate.outcome, fitness: null },
      };
    const isRemembered = rules.isRemembered(functionalKey, past);
    const { tier, ...proposed } = rules.decide(functionalKey, own(functionalKey), {
      ...{ index, recognised, isRemembered },
    });
    past.push({ ...proposed, index, key: functionalKey, structure: structuralKey });
    const { repeat, evaluations, worth } = proposed;
    return { tier, repeat, evaluations, outcome: worth, fitness: meanAccuracy(worth) };
  });
}

const meanAccuracy = (worth: Outcome): number | null =>
  worth.outcome === 'evaluated'
    ? worth.perAnchor.reduce((sum, { accuracy }) => sum + accuracy, 0) / worth.perAnchor.length
    : null;

interface Situation {
  readonly index: number;
  /** Its structure was there before. */
  readonly recognised: boolean;
  /** Its function is among the last ones. */
  readonly isRemembered: boolean;
}

type Ruling = Pick<Proposed, 'alone' | 'repeat' | 'evaluations' | 'worth'> & {
  readonly tier: Tier | null;
};

class Rules {
  readonly #others: readonly Committed[];
  readonly #config: SearchConfig;
  readonly #evaluate: Evaluation;

  constructor(others: readonly Committed[], config: SearchConfig, evaluate: Evaluation) {
    const { protocol } = config;
    const same = (committed: Committed) =>
      JSON.stringify(committed.protocol) === JSON.stringify(protocol);
    this.#others = others.filter(same);
    this.#config = config;
    this.#evaluate = evaluate;
  }

  /** Textbook: fewer than `capacity` other functions were proposed since its last proposal. */
  isRemembered(key: string, past: readonly Proposed[]): boolean {
    const touched = [
      ...this.#others.flatMap(({ candidate }) => candidate.functionalKey ?? []),
      ...past.map((proposed) => proposed.key),
    ];
    const last = touched.lastIndexOf(key);
    const distance = new Set(touched.slice(last + 1)).size;
    return last >= 0 && distance < this.#config.cache.capacity;
  }

  decide(key: string, own: readonly Proposed[], situation: Situation): Ruling {
    const { by, evaluations: enough, forget } = this.#config.cache;
    const { index, recognised, isRemembered } = situation;
    const before = own.at(-1) ?? this.#ofOthers(key);
    const tier = recognised ? 'structural' : 'functional';
    const isMiss =
      !before || !isRemembered || by === 'nothing' || (by === 'structure' && !recognised);
    if (isMiss) return this.#alone(key, own);
    const takeOver = { ...before, alone: false, repeat: null, tier } as const;
    if (this.#seesRejection(key, own, index)) return takeOver;
    if (before.evaluations < enough) return this.#onceMore(key, own, before, tier);
    const stream = randomStream('forget', this.#config.seed, index);
    return forget > 0 && chance(forget, stream) ? this.#alone(key, own) : takeOver;
  }

  #alone(key: string, own: readonly Proposed[]): Ruling {
    const { repeat, outcome } = this.#next(key, own);
    return { alone: true, repeat, evaluations: 1, worth: outcome, tier: null };
  }

  #onceMore(
    key: string,
    own: readonly Proposed[],
    before: { readonly evaluations: number; readonly worth: Outcome },
    tier: Tier,
  ): Ruling {
    const { repeat, outcome } = this.#next(key, own);
    const evaluations = before.evaluations + 1;
    const ruling = { alone: false, repeat, evaluations, tier };
    const { worth } = before;
    if (worth.outcome !== 'evaluated') return { ...ruling, worth };
    if (outcome.outcome !== 'evaluated') return { ...ruling, worth: outcome };
    const perAnchor = outcome.perAnchor.map((score, i) => {
      const { accuracy, loss } = worth.perAnchor[i]!;
      const mean = (old: number, value: number) => old + (value - old) / evaluations;
      return { ...score, accuracy: mean(accuracy, score.accuracy), loss: mean(loss, score.loss) };
    });
    return { ...ruling, worth: { outcome: 'evaluated', perAnchor } };
  }

  #next(key: string, own: readonly Proposed[]): { repeat: number; outcome: Outcome } {
    const repeats = [
      ...own.map(({ repeat }) => repeat ?? -1),
      ...this.#caused(key).map(({ repeat }) => repeat),
    ];
    const repeat = Math.max(-1, ...repeats) + 1;
    return { repeat, outcome: this.#outcome(key, repeat) };
  }

  #outcome(key: string, repeat: number): Outcome {
    const { protocol } = this.#config;
    const outcome = this.#evaluate(evaluationSeed(protocol, key, repeat), protocol);
    if (outcome.outcome !== 'evaluated') return outcome;
    return { ...outcome, perAnchor: outcome.perAnchor.map((score) => ({ ...score, seconds: 0 })) };
  }

  /** The evaluations of a function that others caused and that can be relied on, each once, in order. */
  #caused(key: string): { repeat: number; outcome: Outcome }[] {
    const repeats = new Set(
      this.#others
        .filter(({ candidate }) => candidate.functionalKey === key)
        .flatMap(({ candidate }) => candidate.repeat ?? []),
    );
    return [...repeats]
      .sort((a, b) => a - b)
      .map((repeat) => ({ repeat, outcome: this.#outcome(key, repeat) }))
      .filter(({ outcome }) => isLasting(outcome));
  }

  #ofOthers(key: string): { evaluations: number; worth: Outcome } | null {
    const caused = this.#caused(key).map(({ outcome }) => outcome);
    const first = caused[0];
    if (!first) return null;
    const worth = caused.find(isRejection) ?? meanOf(caused);
    return { evaluations: caused.length, worth };
  }

  /** True where a rejection that still counts is of another run, or of a proposal that lies the lookahead before. */
  #seesRejection(key: string, own: readonly Proposed[], index: number): boolean {
    for (const proposed of own.toReversed()) {
      if (proposed.index <= index - this.#config.lookahead && isRejection(proposed.worth))
        return true;
      if (proposed.alone) return false;
    }
    const others = this.#ofOthers(key);
    return others !== null && isRejection(others.worth);
  }
}

function meanOf(outcomes: readonly Outcome[]): Outcome {
  const scores = outcomes.flatMap((o) => (o.outcome === 'evaluated' ? [o.perAnchor] : []));
  const mean = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const perAnchor = scores[0]!.map((score, i) => ({
    ...score,
    accuracy: mean(scores.map((of) => of[i]!.accuracy)),
    loss: mean(scores.map((of) => of[i]!.loss)),
  }));
  return { outcome: 'evaluated', perAnchor };
}
