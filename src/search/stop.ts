import type * as z from 'zod';
import type { Settled } from '../../db/store.ts';
import { positiveNumber, realNumber, settings, wholeNumber } from '../eval/settings.ts';
import { type Best, better } from './progress.ts';

const count = () => wholeNumber(1, 1_000_000_000).optional();

/**
 * When a run stops. All but `seconds` hold or not at a committed proposal, which then is the last one; so a
 * run that is given more goes on as if it had never stopped. Baselines count nowhere.
 */
export const stopShape = settings({
  proposals: wholeNumber(1, 1_000_000_000),
  /** Proposals that were trained to the end. */
  evaluations: count(),
  /** Time spent, all sessions together. */
  seconds: positiveNumber(
    1e9,
    'a number of seconds above 0, or with --time a duration such as 90s, 30m, 8h or 2d',
  ).optional(),
  /** A fitness that is enough. */
  fitness: realNumber(0, 1).optional(),
  /** Proposals after the best one, or from the start where none has a fitness. */
  patience: count(),
});

export type StopSettings = z.output<typeof stopShape>;
export type StopCondition = keyof StopSettings;

/** What the conditions are about, after some proposals. */
export interface Reached {
  readonly proposals: number;
  /** Those of them that were trained to the end. */
  readonly evaluations: number;
  readonly best: Best | null;
}

/** What is reached after one more candidate. */
export function advance(reached: Reached, candidate: Settled): Reached {
  const { index, evaluation, outcome } = candidate;
  if (index < 0) return reached;
  const trained = evaluation !== null && outcome.outcome === 'evaluated';
  return {
    proposals: reached.proposals + 1,
    evaluations: reached.evaluations + (trained ? 1 : 0),
    best: better(reached.best, candidate),
  };
}

/** The condition that holds; null where the run goes on. */
export function conditionMet(stop: StopSettings, reached: Reached): StopCondition | null {
  const { proposals, evaluations, best } = reached;
  if (stop.fitness !== undefined && best !== null && best.fitness >= stop.fitness) return 'fitness';
  if (stop.evaluations !== undefined && evaluations >= stop.evaluations) return 'evaluations';
  const sinceBest = best === null ? proposals : proposals - 1 - best.index;
  if (stop.patience !== undefined && sinceBest >= stop.patience) return 'patience';
  return proposals >= stop.proposals ? 'proposals' : null;
}

/** The candidates up to the first one after which a condition holds, and which one that is. */
export function upToStop(
  stop: StopSettings,
  reached: Reached,
  candidates: readonly Settled[],
): { readonly kept: readonly Settled[]; readonly met: StopCondition | null } {
  let now = reached;
  for (const [i, candidate] of candidates.entries()) {
    now = advance(now, candidate);
    const met = candidate.index < 0 ? null : conditionMet(stop, now);
    if (met) return { kept: candidates.slice(0, i + 1), met };
  }
  return { kept: candidates, met: null };
}

type Sentences = { readonly [Name in StopCondition]: (limit: number) => string };

const SENTENCES: Sentences = {
  proposals: (n) => `${n} proposals`,
  evaluations: (n) => `${n} trained to the end`,
  seconds: (n) => `${n} s were over`,
  fitness: (n) => `the target of ${n} is reached`,
  patience: (n) => `${n} proposals without a better one`,
};

/** Why a run that met a condition is finished. */
export const describeStop = (met: StopCondition, stop: StopSettings): string =>
  SENTENCES[met](stop[met] as number);
