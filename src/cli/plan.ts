import type { Engine } from '../eval/engine.ts';
import { protocolKey } from '../eval/protocol.ts';
import { bytes, longTime, percent } from '../format.ts';
import type { SearchConfig } from '../search/config.ts';
import { type Cost, costOf } from './cost.ts';
import { type Expected, type Experience, expectedOf, experienceIn } from './estimate.ts';
import { note, print, printJson } from './output.ts';

/** What a dry run tells. */
export interface Plan {
  readonly config: SearchConfig;
  readonly workers: number;
  readonly cost: Cost;
  readonly experience: Experience;
  readonly expected: Expected;
}

export function planOf(
  config: SearchConfig,
  engine: Engine,
  { db, workers }: { readonly db: string; readonly workers: number },
): Plan {
  const cost = costOf(config, engine, workers);
  const experience = experienceIn(db, protocolKey(config.protocol));
  const expected = expectedOf(config, cost, workers, experience);
  return { config, workers, cost, experience, expected };
}

export function tellPlan(plan: Plan, { json }: { readonly json?: true }): void {
  if (json) printJson(plan);
  else print([JSON.stringify(plan.config, null, 2), ...describe(plan)].join('\n'));
}

/** One line before a search begins. */
export function noteCost({ config, workers, cost, experience, expected }: Plan): void {
  const { proposals } = expected;
  note(
    `About ${longTime(expected.seconds)} with ${countOf(workers, 'worker')} for ${proposals} proposals (${sourceOf(experience)}), at most ${longTime(cost.atMostSeconds)}; ${cost.trainingSeconds.toFixed(1)} s of a core for each layer that is trained to the end on ${config.protocol.anchors.join(', ')}.`,
  );
}

const sourceOf = ({ runs }: Experience): string =>
  runs.length > 0 ? `as in run ${runs.join(', ')}` : 'an assumption';

const countOf = (count: number, noun: string): string =>
  `${count} ${noun}${count === 1 ? '' : 's'}`;

function describe({ workers, cost, experience, expected }: Plan): string[] {
  const { failedTestSeconds, trainingSeconds, atMostSeconds } = cost;
  const { shares } = experience;
  return [
    `A candidate that fails the first quality test takes ${failedTestSeconds.toFixed(2)} s of a core, one that is trained to the end ${trainingSeconds.toFixed(2)} s.`,
    `Of the proposals ${percent(shares.trained)} are trained to the end, ${percent(shares.failed)} fail a test and ${percent(shares.diverged)} diverge (${sourceOf(experience)}).`,
    `So ${expected.proposals} proposals take about ${longTime(expected.seconds)} with ${countOf(workers, 'worker')}, train ${expected.trained} to the end, and fill ${bytes(expected.bytes)} of the database.`,
    `They take at most ${longTime(atMostSeconds)}, if every one is trained to the end.`,
  ];
}
