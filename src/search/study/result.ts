import type { Candidate } from '../../../db/candidates.ts';
import { openStore, type Store } from '../../../db/store.ts';
import type { Genome } from '../../graph/genome.ts';
import type { SearchConfig } from '../config.ts';
import { falseHits } from './false-hits.ts';
import { runIn, Spending, type StudyRun } from './runs.ts';

/** The best of a run, by what the run itself measured. */
export interface BestLayer {
  readonly index: number;
  readonly genome: Genome;
  readonly fitness: number;
}

/** What a run did with its budget. Known layers that it began with cost work and count for nothing else. */
export interface RunResult {
  /** Spent, in full evaluations: the budget, and a part of the last evaluation. */
  readonly work: number;
  /** False where the run ended for want of proposals. */
  readonly spent: boolean;
  /** Proposals covered. */
  readonly proposals: number;
  /** Those of them that have a function, so that a cache could know them. */
  readonly withFunction: number;
  /** Those that caused an evaluation, to the end or up to a rejection. */
  readonly evaluated: number;
  /** Those of them that were trained to the end. */
  readonly trained: number;
  /** Those that took over how an earlier one ended, by the key that recognised it. */
  readonly hits: { readonly structural: number; readonly functional: number };
  /** Those that were recognised and evaluated once more. */
  readonly partialHits: number;
  /** Hits on the evaluation of another function, as keys of the highest precision tell them apart. */
  readonly falseHits: number;
  readonly best: BestLayer | null;
  /** The best fitness that the run knew of, from so much work on: [work, fitness]. */
  readonly curve: readonly (readonly [number, number])[];
  /** Of all workers in evaluations, and of the coordinating thread on keys and probes. */
  readonly seconds: { readonly evaluating: number; readonly screening: number };
}

/** Reads what came of a run that `runToBudget` has ended. */
export function resultOf(planned: StudyRun): RunResult {
  const { path, config } = planned;
  const store = openStore(path, { readonly: true });
  try {
    const run = runIn(store, config);
    if (!run) throw new Error(`internal: ${path} holds no run`);
    return read(store, run.id, planned);
  } finally {
    store.close();
  }
}

function read(store: Store, run: number, planned: StudyRun): RunResult {
  const { config } = planned;
  const spending = new Spending(store, planned);
  spending.count(run);
  const { spent, last } = spending;
  const within = (index: number) => last === null || index <= last;
  const all = [...store.candidates.ofRun(run)].filter(({ index }) => within(index));
  const own = all.filter(({ index }) => index >= 0);
  const cached = own.filter(
    ({ functionalKey, repeat }) => functionalKey !== null && repeat === null,
  );
  const evaluated = own.filter(({ repeat }) => repeat !== null);
  return {
    work: spent.at(-1)?.work ?? 0,
    spent: last !== null,
    proposals: own.length,
    withFunction: own.filter(({ functionalKey }) => functionalKey !== null).length,
    evaluated: evaluated.length,
    trained: spent.filter(({ index, trained }) => index >= 0 && trained).length,
    hits: {
      structural: cached.filter(({ tier }) => tier === 'structural').length,
      functional: cached.filter(({ tier }) => tier === 'functional').length,
    },
    partialHits: evaluated.filter(({ tier }) => tier !== null).length,
    falseHits: falseHits(all, config.cache.by),
    ...progressOf(own, config, spending),
    seconds: {
      evaluating: spent.reduce((sum, { seconds }) => sum + seconds, 0),
      screening: store.sessions.ofRun(run).reduce((sum, session) => sum + session.screening, 0),
    },
  };
}

/** What a cache takes for one thing. */
export const GROUPS: Readonly<
  Record<SearchConfig['cache']['by'], (candidate: Candidate) => string>
> = {
  nothing: ({ index }) => String(index),
  structure: ({ structuralKey }) => structuralKey,
  function: ({ functionalKey }) => String(functionalKey),
};

/**
 * The best that the run knew of, as it went: a later proposal of what a cache takes for the same replaces
 * what was known of it, since its fitness may be the mean of more evaluations.
 */
function progressOf(
  candidates: readonly Candidate[],
  { cache }: SearchConfig,
  { spent }: Spending,
): Pick<RunResult, 'best' | 'curve'> {
  const known = new Map<string, BestLayer>();
  const curve: (readonly [number, number])[] = [];
  let best: BestLayer | null = null;
  let next = 0;
  for (const candidate of candidates) {
    const { index, genome, fitness } = candidate;
    if (candidate.functionalKey === null) continue;
    while (next < spent.length && spent[next]!.index <= index) next++;
    const group = GROUPS[cache.by](candidate);
    const before = known.get(group);
    if (fitness === null) known.delete(group);
    else known.set(group, { index, genome, fitness });
    if (before !== undefined && before === best) best = highest(known.values());
    else if (fitness !== null && (best === null || fitness > best.fitness))
      best = known.get(group)!;
    if (best !== null && best.fitness !== curve.at(-1)?.[1])
      curve.push([spent[next - 1]?.work ?? 0, best.fitness]);
  }
  return { best, curve };
}

/** The one of the highest fitness, the first among equals. */
const highest = (layers: Iterable<BestLayer>): BestLayer | null =>
  [...layers].reduce<BestLayer | null>(
    (best, layer) => (best === null || layer.fitness > best.fitness ? layer : best),
    null,
  );
