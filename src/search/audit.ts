import { EARLY_REJECTIONS, type Outcome } from '../eval/outcome.ts';
import { evaluationSeed, type Protocol } from '../eval/protocol.ts';
import { randomStream } from '../eval/random.ts';
import type { SearchConfig } from './config.ts';
import { chance } from './random.ts';

/** Whether proposal `index`, if its outcome is taken over, is evaluated all the same. */
export const isAudited = (index: number, { seed, cache }: SearchConfig): boolean =>
  chance(cache.audit, randomStream('audit', seed, index));

/** The seed of the audit of proposal `index`: that of no evaluation, and of no other audit of its run. */
export const auditSeed = (protocol: Protocol, functionalKey: string, index: number): string =>
  evaluationSeed(protocol, functionalKey, `audit/${index}`);

/**
 * Whether proposal `index`, whose evaluation ended in this way, is trained to the end all the same. Known
 * layers are not: they are no sample of what a search proposes.
 */
export const isRejectionAudited = (
  index: number,
  { outcome }: Outcome,
  { seed, rejectionAudit }: SearchConfig,
): boolean =>
  index >= 0 &&
  EARLY_REJECTIONS.some((name) => name === outcome) &&
  chance(rejectionAudit, randomStream('rejection audit', seed, index));

/** The protocol without the tests that end a training early. What is left is the same, step by step. */
export function withoutTests({ stability: _, ...protocol }: Protocol): Protocol {
  return { ...protocol, quality: { ...protocol.quality, steps: 0 } };
}
