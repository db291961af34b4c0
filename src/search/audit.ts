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
