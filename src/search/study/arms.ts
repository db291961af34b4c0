import type { Overrides } from '../../eval/settings.ts';
import { overrideSearchConfig, type SearchConfig } from '../config.ts';

/** A way to search that a study compares with others. */
export interface Arm {
  /** Also part of file names. */
  readonly name: string;
  readonly doc: string;
  /** What is different from the study's own configuration. */
  readonly overrides: Overrides<SearchConfig>;
}

/** The arm that the others are compared with. */
export const CONTROL = 'no-cache';

/** The experiments of "Unified Functional Hashing in AutoML" (arXiv 2302.05433). */
export const HASHING_ARMS: readonly Arm[] = [
  {
    name: CONTROL,
    doc: 'every proposal that passes the probe is evaluated',
    overrides: { cache: { by: 'nothing' } },
  },
  {
    name: 'structural',
    doc: 'equal graphs, simplified, are evaluated once',
    overrides: { cache: { by: 'structure' } },
  },
  { name: 'functional', doc: 'equal functions are evaluated once', overrides: {} },
  {
    name: 'aggregating',
    doc: 'functional, with the mean of up to 3 evaluations per function',
    overrides: { cache: { evaluations: 3 } },
  },
  {
    name: 'forgetful',
    doc: 'functional, with every tenth hit evaluated anew',
    overrides: { cache: { forget: 0.1 } },
  },
  {
    name: 'functional-change',
    doc: 'functional, with mutation repeated, up to 20 times, until the function changes',
    overrides: { functionalChange: 20 },
  },
  {
    name: 'tabu',
    doc: 'functional, with up to 10 other draws for a function that was proposed 5 times',
    overrides: { tabu: { limit: 5, attempts: 10 } },
  },
];

/** The precision of keys unless told otherwise: this arm of the sweep is the functional one. */
const USUAL_BITS = 20;

/** The functional cache with keys of so many mantissa bits. */
export const bitsArm = (bits: number): Arm =>
  bits === USUAL_BITS
    ? HASHING_ARMS.find(({ name }) => name === 'functional')!
    : {
        name: `bits-${bits}`,
        doc: `functional, with keys of ${bits} mantissa bits`,
        overrides: { cache: { mantissaBits: bits } },
      };

/**
 * What all arms of a study have in common. Hits are not audited, which would be training outside of the
 * budget; and known layers that are only there to compare with are left out, for nothing depends on them.
 */
export const studyConfig = (given: SearchConfig, proposals: number): SearchConfig =>
  overrideSearchConfig(
    { ...given, stop: { proposals } },
    {
      baselines: [],
      cache: {
        ...{ by: 'function', mantissaBits: USUAL_BITS, evaluations: 1, forget: 0 },
        ...{ shared: false, audit: 0 },
      },
      functionalChange: 0,
      tabu: { limit: 0 },
    },
  );

/** The configuration of one run: another seed draws other proposals, and other weights and batches. */
export const armConfig = (base: SearchConfig, { overrides }: Arm, seed: number): SearchConfig =>
  overrideSearchConfig(base, { ...overrides, seed, protocol: { seed } });
