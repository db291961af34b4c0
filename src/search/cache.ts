import type { z } from 'zod';
import { oneOf, realNumber, settings, trueOrFalse, wholeNumber } from '../eval/settings.ts';

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
