import type * as z from 'zod';
import type { AnchorScore, Outcome } from '../eval/outcome.ts';
import { randomStream } from '../eval/random.ts';
import { oneOf, realNumber, settings, trueOrFalse, wholeNumber } from '../eval/settings.ts';
import type { SearchConfig } from './config.ts';
import { chance } from './random.ts';

/**
 * When a proposal takes over what an earlier one of the same function was worth ("Unified Functional
 * Hashing in AutoML", arXiv 2302.05433, calls it functional equivalence caching).
 */
export const cacheShape = settings({
  /** The key by which an earlier evaluation is taken over. */
  by: oneOf(['nothing', 'structure', 'function']),
  /** Bits of the mantissa that enter the functional key. */
  mantissaBits: wholeNumber(1, 52),
  /** Evaluations of a function before their mean is final. */
  evaluations: wholeNumber(1, 1000),
  /** Probability that what is final is forgotten, and the function evaluated anew. */
  forget: realNumber(0, 1),
  /** Functions that are remembered; the least recently proposed goes first. */
  capacity: wholeNumber(1, 10_000_000),
  /** Whether evaluations of other runs count: those that there were when this one began. */
  shared: trueOrFalse(),
  /** Share of hits that is evaluated all the same, to see whether they are right. */
  audit: realNumber(0, 1),
});

export type CacheSettings = z.output<typeof cacheShape>;

/** What is known of a function when it is proposed again: what it was worth after its last proposal. */
export interface Known {
  /** Evaluations that count for it, those under way included. */
  readonly evaluations: number;
  /**
   * The proposal whose evaluation was its rejection; −∞ where another run rejected it. Null where it was
   * not rejected, as far as anyone knows by now.
   */
  readonly rejectedAt: number | null;
}

/** What becomes of a proposal that computes a function. */
export type Decision =
  /** It is evaluated, and what was before does not count. */
  | 'anew'
  /** It is evaluated once more, and the mean counts. */
  | 'once more'
  /** It takes over what the function is worth. */
  | 'take over';

/**
 * The decision on proposal `index`. It may depend on what earlier proposals are and what was decided on
 * them, but on how they fared only as far as the lookahead allows: so it is the same whatever the workers do.
 */
export function decide(
  known: Known | null,
  index: number,
  { lookahead, cache, seed }: Pick<SearchConfig, 'lookahead' | 'cache' | 'seed'>,
): Decision {
  if (!known) return 'anew';
  if (known.rejectedAt !== null && known.rejectedAt <= index - lookahead) return 'take over';
  if (known.evaluations < cache.evaluations) return 'once more';
  const forgets = cache.forget > 0 && chance(cache.forget, randomStream('forget', seed, index));
  return forgets ? 'anew' : 'take over';
}

/**
 * What a function is worth after one more evaluation: the running mean of the scores, or the rejection that
 * came first. `before` is what it was worth after `evaluations` − 1 of them.
 */
export function worthAfter(before: Outcome, own: Outcome, evaluations: number): Outcome {
  if (before.outcome !== 'evaluated') return before;
  if (own.outcome !== 'evaluated') return own;
  const mean = (old: number, value: number) => old + (value - old) / evaluations;
  const perAnchor = own.perAnchor.map((score, i) => {
    const { accuracy, loss } = before.perAnchor[i] as AnchorScore;
    return { ...score, accuracy: mean(accuracy, score.accuracy), loss: mean(loss, score.loss) };
  });
  return { outcome: 'evaluated', perAnchor };
}
