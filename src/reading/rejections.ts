import type { RejectionAudit } from '../../db/audits.ts';
import type { Store } from '../../db/store.ts';
import { EARLY_REJECTIONS, type EarlyRejection } from '../eval/outcome.ts';
import { quantile } from '../eval/quantile.ts';
import { fitnessOf } from '../search/select.ts';
import { type Interval, intervalOfShare } from './statistics.ts';

/**
 * What became of a rejected candidate that was trained to the end all the same:
 * - `top`: its fitness is in the top decile of what the run trained;
 * - `below`: it is not;
 * - `diverged`: its loss stopped being a number, so that it has none;
 * - `open`: it cannot be said, because a worker ran out of time or crashed, or because the run trained
 *   nothing else to the end.
 */
export type RejectionVerdict = 'top' | 'below' | 'diverged' | 'open';

/** The rejections of a run by a test, and what became of those that were audited. */
export interface RejectionCounts extends Readonly<Record<RejectionVerdict, number>> {
  /** Audited or not. */
  readonly rejected: number;
  readonly audits: number;
  /** Those in the top decile, of those of which it can be said; null where that is none. */
  readonly rate: number | null;
  /** Of the rate, with 95 % confidence. */
  readonly interval: Interval | null;
}

/** What the early tests of a run cost it. */
export interface RejectionStats {
  /** That workers spent on audits. */
  readonly seconds: number;
  /** The proposals that the run trained to the end, known layers and hits left out. */
  readonly trained: number;
  /** The 90th percentile of their fitnesses, where the top decile begins; null where there are none. */
  readonly decile: number | null;
  readonly tests: Readonly<Record<EarlyRejection, RejectionCounts>>;
  readonly both: RejectionCounts;
}

const TOP_DECILE = 0.9;

export function rejectionsOf(store: Store, run: number): RejectionStats {
  const audits = store.audits.rejections(run);
  const rejected = store.audits.rejected(run);
  const fitnesses = store.stats.trained(run);
  const decile = fitnesses.length > 0 ? quantile(fitnesses, TOP_DECILE) : null;
  const countOf = (names: readonly string[]): RejectionCounts =>
    countRejections(
      audits.filter(({ rejection }) => names.includes(rejection.outcome)),
      rejected
        .filter(({ outcome }) => names.includes(outcome))
        .reduce((sum, { count }) => sum + count, 0),
      decile,
    );
  return {
    seconds: audits.reduce((sum, { seconds }) => sum + seconds, 0),
    ...{ trained: fitnesses.length, decile },
    tests: { 'low-quality': countOf(['low-quality']), unstable: countOf(['unstable']) },
    both: countOf(EARLY_REJECTIONS),
  };
}

/** Without a decile nothing is judged, or those that diverged would be all there is. */
function countRejections(
  audits: readonly Pick<RejectionAudit, 'outcome'>[],
  rejected: number,
  decile: number | null,
): RejectionCounts {
  const counts: Record<RejectionVerdict, number> = { top: 0, below: 0, diverged: 0, open: 0 };
  for (const audit of audits) counts[verdictOf(audit, decile)]++;
  const judged = decile === null ? 0 : audits.length - counts.open;
  return {
    ...{ rejected, audits: audits.length, ...counts },
    rate: judged > 0 ? counts.top / judged : null,
    interval: intervalOfShare(counts.top, judged),
  };
}

function verdictOf(
  { outcome }: Pick<RejectionAudit, 'outcome'>,
  decile: number | null,
): RejectionVerdict {
  if (outcome.outcome === 'diverged') return 'diverged';
  if (outcome.outcome !== 'evaluated' || decile === null) return 'open';
  return fitnessOf(outcome) >= decile ? 'top' : 'below';
}
