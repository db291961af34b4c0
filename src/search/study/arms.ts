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

/**
 * What the arms of every study have in common: the cache of functions, each evaluated once. Nothing
 * is audited, which would be training outside of the budget; and known layers that are only there to compare
 * with are left out, for nothing depends on them.
 */
export const studyConfig = (
  given: SearchConfig,
  proposals: number,
  settings: Overrides<SearchConfig>,
): SearchConfig =>
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
      rejectionAudit: 0,
      ...settings,
    },
  );

/** The precision of keys, unless it is what a study is about. */
export const USUAL_BITS = 20;

/** The configuration of one run: another seed draws other proposals, and other weights and batches. */
export const armConfig = (base: SearchConfig, { overrides }: Arm, seed: number): SearchConfig =>
  overrideSearchConfig(base, {
    ...{ ...overrides, seed },
    protocol: { ...overrides.protocol, seed },
  });
