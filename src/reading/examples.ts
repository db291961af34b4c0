import type { Store } from '../../db/store.ts';
import { describeOutcome, OUTCOME_NAMES, type OutcomeName } from '../eval/outcome.ts';
import { printable } from '../format.ts';
import { layerOf, verifyGenome } from '../graph/genome.ts';
import { formatLayer } from '../graph/text.ts';
import { candidateId } from '../search/ids.ts';
import { countFunnel } from '../search/progress.ts';

/** A rejected proposal. */
export interface RejectedLayer {
  readonly id: string;
  readonly formula: string;
  /** With the numbers that decided. */
  readonly description: string;
}

/** The proposals of a run that ended in one way. */
export interface RejectionReason {
  readonly outcome: OutcomeName;
  readonly count: number;
  /** Of all proposals. */
  readonly share: number;
  /** The youngest. */
  readonly examples: readonly RejectedLayer[];
}

/** Why proposals of a run were rejected, in the order of the funnel. */
export function rejectionReasons(store: Store, run: number, examples: number): RejectionReason[] {
  const { proposals, outcomes } = countFunnel(store.candidates.funnel(run));
  return OUTCOME_NAMES.filter((name) => name !== 'evaluated' && outcomes[name] > 0).map(
    (outcome) => ({
      outcome,
      count: outcomes[outcome],
      share: outcomes[outcome] / proposals,
      examples: rejectedLayers(store, run, outcome, proposals, examples),
    }),
  );
}

/** The youngest of those that ended in one way, of the proposals before the one with index `before`. */
export const rejectedLayers = (
  store: Store,
  run: number,
  outcome: OutcomeName,
  before: number,
  count: number,
): RejectedLayer[] =>
  store.course.examples(run, outcome, before, count).map((index) => {
    const candidate = store.candidates.at(run, index);
    if (!candidate) throw new Error(`internal: no candidate ${index} in run ${run}`);
    verifyGenome(candidate.genome);
    return {
      id: candidateId({ run, index }),
      formula: formatLayer(layerOf(candidate.genome)),
      description: printable(describeOutcome(candidate.outcome)),
    };
  });
