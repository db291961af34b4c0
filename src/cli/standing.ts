import { OUTCOME_NAMES } from '../eval/outcome.ts';
import { bytes, duration, percent, points, rate } from '../format.ts';
import { type Genome, layerOf } from '../graph/genome.ts';
import { formatLayer } from '../graph/text.ts';
import { candidateId } from '../search/ids.ts';
import type { FunnelCounts } from '../search/progress.ts';
import type { Limits } from '../search/rates.ts';
import type { Snapshot, ZooScore } from '../search/standing.ts';
import type { Memory } from './memory.ts';
import { errColours } from './output.ts';

export const score = (fitness: number | null): string =>
  fitness === null ? 'rejected' : percent(fitness);

/** How the proposals ended, without the ways that none of them did. */
export const describeOutcomes = ({ outcomes }: FunnelCounts): string =>
  OUTCOME_NAMES.filter((name) => outcomes[name] > 0)
    .map((name) => `${name} ${outcomes[name]}`)
    .join(', ');

/** A plain line on where a run stands. */
export function inOneLine(at: Snapshot, memory: Memory): string {
  const { counts, perSecond, faults } = at;
  const { structural, functional } = counts.cacheHits;
  return [
    ...goals(at),
    `${counts.evaluated} trained`,
    `${structural + functional} cache hits`,
    describeBest(at),
    `front ${at.front.size}`,
    ...(faults > 0 ? [describeFaults(at)] : []),
    rate(perSecond.proposals),
    describeMemory(memory),
    `${duration(at.secondsLeft)} left`,
  ].join(', ');
}

/** The lines of the live display. */
export function onScreen(at: Snapshot, memory: Memory): string[] {
  const { counts, perSecond } = at;
  const { structural, functional } = counts.cacheHits;
  const rates = `${rate(perSecond.proposals)} proposals, ${rate(perSecond.evaluations)} trained`;
  return [
    `run ${at.run}  ${bar(shareDone(at))}  ${goals(at).join(', ')}  ${duration(at.secondsLeft)} left`,
    `funnel   ${describeOutcomes(counts) || 'nothing yet'}`,
    `cache    ${structural + functional} hits (${structural} structural, ${functional} functional)`,
    `trained  ${counts.evaluated}  (${rates} lately; ${at.workers} workers, ${at.inFlight} in flight)`,
    `${describeBest(at)}${bestLayer(at)}`,
    `zoo      ${at.zoo.map(({ name, fitness }) => `${name} ${score(fitness)}`).join(', ') || 'not scored yet'}`,
    `front    ${describeFront(at)}`,
    `process  ${duration(at.sessionSeconds)} in this session, ${duration(at.seconds)} on the run; memory ${describeMemory(memory)}; ${describeFaults(at)}`,
  ];
}

interface Goal {
  readonly name: string;
  readonly reached: number;
  readonly limit: number;
  readonly format: (value: number) => string;
}

function goalsOf({ limits, counts, seconds }: Snapshot): Goal[] {
  const all: Record<keyof Limits, Omit<Goal, 'limit'>> = {
    proposals: { name: ' proposals', reached: counts.proposals, format: String },
    evaluations: { name: ' evaluations', reached: counts.evaluated, format: String },
    seconds: { name: '', reached: seconds, format: duration },
  };
  return (Object.keys(all) as (keyof Limits)[]).flatMap((key) => {
    const limit = limits[key];
    return limit === undefined ? [] : [{ ...all[key], limit }];
  });
}

function goals(at: Snapshot): string[] {
  const { patience, target, counts, best } = at;
  const since = best ? counts.proposals - 1 - best.index : counts.proposals;
  return [
    ...goalsOf(at).map(
      ({ name, reached, limit, format }) => `${format(reached)} of ${format(limit)}${name}`,
    ),
    ...(patience === undefined ? [] : [`${since} of ${patience} without a better`]),
    ...(target === undefined ? [] : [`target ${percent(target)}`]),
  ];
}

/** Of the goal that is nearest. */
const shareDone = (at: Snapshot): number =>
  Math.min(1, Math.max(0, ...goalsOf(at).map(({ reached, limit }) => reached / limit)));

const bestOfZoo = (zoo: readonly ZooScore[]): { name: string; fitness: number } | null =>
  zoo.reduce<{ name: string; fitness: number } | null>(
    (top, { name, fitness }) =>
      fitness !== null && (top === null || fitness > top.fitness) ? { name, fitness } : top,
    null,
  );

function describeBest({ best, zoo }: Snapshot): string {
  if (!best) return 'best none yet';
  const bar = bestOfZoo(zoo);
  const difference = bar ? ` (${points(best.fitness - bar.fitness)} to ${bar.name})` : '';
  return `best ${percent(best.fitness)}${difference}`;
}

/** Formulas by genome: the best layer is drawn ten times a second and changes once an hour. */
const formulas = new WeakMap<Genome, string>();

function bestLayer({ run, best }: Snapshot): string {
  if (!best) return '';
  const formula = formulas.get(best.genome) ?? formatLayer(layerOf(best.genome));
  formulas.set(best.genome, formula);
  return `  ${candidateId({ run, index: best.index })}  ${formula}`;
}

function describeFront({ front, anchors }: Snapshot): string {
  if (front.size === 0) return 'no layer yet';
  const extremes = front.extremes.map((top, i) => `${anchors[i] ?? i} up to ${percent(top)}`);
  return `${front.size} ${front.size === 1 ? 'layer' : 'layers'}: ${extremes.join(', ')}`;
}

const describeMemory = ({ own, children }: Memory): string =>
  children === null ? bytes(own) : `${bytes(own)} + ${bytes(children)}`;

const describeFaults = ({ faults }: Snapshot): string =>
  `${faults || 'no'} ${faults === 1 ? 'fault' : 'faults'}`;

const BAR = 24;

const bar = (share: number): string => {
  const filled = Math.round(BAR * share);
  return errColours.green('━'.repeat(filled)) + errColours.dim('━'.repeat(BAR - filled));
};
