import { percent, points } from '../../format.ts';
import { mean } from '../../reading/statistics.ts';
import { QUALITY_REPEATS } from '../../search/study/quality.ts';
import { SEARCH_CONTROL } from '../../search/study/search.ts';
import { ALPHA } from '../confirm/judge.ts';
import { type Column, table } from '../output.ts';
import type { Gain, KnownData, SearchArmData, SearchData } from './search-data.ts';
import { estimateOf, type RunData } from './summary.ts';
import {
  ARM,
  BUDGET_NOTE,
  counted,
  difference,
  docsOf,
  EVALUATED,
  inMarkdown,
  number,
  PROPOSALS,
  right,
  shareOf,
  TRAINING,
} from './tables.ts';

const p = (value: number): string => (value < 0.0001 ? '< 0.0001' : value.toFixed(4));

const gained = ({ difference: mean, interval }: Gain): string => difference({ mean, interval });

const COVERAGE: readonly Column<SearchArmData>[] = [
  PROPOSALS,
  EVALUATED,
  right('trained to the end', ({ trained }) => number(trained, 0)),
  TRAINING,
];
const WORTH: readonly Column<SearchArmData>[] = [
  right('best, as found', ({ best }) => shareOf(best)),
  right('best, afresh', ({ quality }) => shareOf(quality)),
  right(`afresh, less ${SEARCH_CONTROL}`, ({ gain }) => (gain ? gained(gain) : '')),
  right('p', ({ gain }) => (gain ? p(gain.p) : '')),
  right('p, corrected', ({ gain }) => (gain ? p(gain.corrected) : '')),
];

/** For the terminal. */
export const searchTable = ({ arms }: SearchData): string =>
  [table(arms, [ARM, ...COVERAGE]), table(arms, [ARM, ...WORTH])].join('\n\n').concat('\n');

/** The report, in Markdown, beside `figure.svg`. `command` gives the same study elsewhere. */
export const searchReport = (data: SearchData, command: string): string =>
  [
    '# Evolution and rejection: what they are worth',
    `\`${command}\`, protocol \`${data.protocol}\`. The control arms of “Evolving Normalization-Activation Layers” ([arXiv 2004.02967](https://arxiv.org/abs/2004.02967)), at the scale of this preset: ${counted(data.seeds.length, 'run')} of each arm, each with a database of its own and a budget of ${counted(data.budget, 'full evaluation')}. All of them begin with random layers and know no others. All numbers of every run are in [data.json](data.json).`,
    '![best fitness against training, with the known layers as lines; and the best layers in fresh evaluations](figure.svg)',
    '## What came of it',
    verdictsOf(data).join('\n'),
    inMarkdown(data.arms, [ARM, ...WORTH]),
    inMarkdown(data.arms, [ARM, ...COVERAGE]),
    docsOf(data.arms),
    '## Best so far, against training',
    `The best fitness that a run knew after a part of its budget, as it had measured it: ${data.seeds.length > 1 ? 'means over the seeds, ± half of their 95 % confidence interval (Student’s t)' : 'of one run'}. A run that knows no layer yet counts as guessing, ${percent(data.guess)}.`,
    inMarkdown(data.arms, [ARM, ...curveColumns(data)]),
    ...(data.baselines.length > 0 ? knownSection(data) : []),
    '## The layers found',
    inMarkdown(foundIn(data), FOUND),
    methodSection(data),
  ]
    .join('\n\n')
    .concat('\n');

/** What the numbers say, arm by arm, and against the known layers. */
function verdictsOf({ arms, baselines }: SearchData): string[] {
  const compared = arms.flatMap(({ arm, gain }) => (gain ? [verdictOf(arm, gain)] : []));
  const best = baselines.reduce<KnownData | null>(
    (top, known) => (top === null || known.quality.mean > top.quality.mean ? known : top),
    null,
  );
  return [
    ...(compared.length > 0 ? compared : [NOT_COMPARED]),
    ...(best ? [againstKnown(arms, best)] : []),
  ].map((sentence) => `- ${sentence}`);
}

const NOT_COMPARED = `Nothing is tested: that takes the arm *${SEARCH_CONTROL}*, another one, and two seeds or more.`;

function verdictOf(arm: string, gain: Gain): string {
  const { difference, interval, p: raw, corrected } = gain;
  const reach = interval.map((end) => points(end).replace(' points', '')).join(' to ');
  const measured = `${points(difference)}, 95 % interval ${reach}, p = ${p(raw)}, corrected ${p(corrected)}`;
  if (corrected >= ALPHA)
    return `*${arm}* against *${SEARCH_CONTROL}*: no difference is shown (${measured}).`;
  const which = difference > 0 ? 'better' : 'worse';
  return `*${arm}* finds ${which} layers than *${SEARCH_CONTROL}* (${measured}).`;
}

function againstKnown(arms: readonly SearchArmData[], best: KnownData): string {
  const fresh = arms.flatMap(({ arm, runs }) =>
    runs.flatMap((run) => (run.best ? [{ arm, ...run.best, mean: mean(run.best.fresh) }] : [])),
  );
  const bar = `the best known layer, ${best.name} with ${percent(best.quality.mean)}`;
  const above = fresh.filter((layer) => layer.mean > best.quality.mean);
  const top = fresh.reduce<(typeof fresh)[number] | null>(
    (first, layer) => (first === null || layer.mean > first.mean ? layer : first),
    null,
  );
  if (top === null) return `No run found a layer; ${bar}, stands alone.`;
  const by = `\`${top.formula}\` of *${top.arm}*, has ${percent(top.mean)}, ${points(top.mean - best.quality.mean)}`;
  return `${above.length} of ${counted(fresh.length, 'run')} ended with a layer above ${bar}, in fresh evaluations; the best of them, ${by}. That is the pick of many, which flatters it: \`evolayer confirm\` is the test of single layers.`;
}

/** The parts of the budget of which the table of curves tells. */
const PARTS = [0.1, 0.25, 0.5, 0.75, 1];

const curveColumns = ({ budget }: SearchData): Column<SearchArmData>[] =>
  PARTS.map((part) =>
    right(`${100 * part} % of the training`, ({ curve }) =>
      shareOf(curve.findLast(({ work }) => work <= part * budget * (1 + 1e-9)) ?? null),
    ),
  );

const knownSection = ({ baselines }: SearchData): string[] => [
  '## Known layers, evaluated likewise',
  inMarkdown(baselines, [
    { head: 'layer', value: ({ name }) => name },
    right('afresh', ({ quality }) => shareOf(quality)),
    { head: 'formula', value: ({ formula }) => formula },
  ]),
];

interface Found extends RunData {
  readonly arm: string;
}

const foundIn = ({ arms }: SearchData): Found[] =>
  arms.flatMap(({ arm, runs }) => runs.map((run) => ({ arm, ...run })));

const FOUND: readonly Column<Found>[] = [
  { head: 'arm', value: ({ arm }) => arm },
  right('seed', ({ seed }) => String(seed)),
  right('as found', ({ best }) => (best ? percent(best.fitness) : '')),
  right('afresh', ({ best }) => (best ? shareOf(estimateOf(best.fresh)) : '')),
  { head: 'formula', value: ({ best }) => best?.formula ?? 'none' },
];

const methodSection = ({ guess }: SearchData): string =>
  [
    '## How it is counted',
    '',
    `${BUDGET_NOTE} The unit is the same for all arms, also for those without quality test; candidates that diverge count for the steps that they took.`,
    '- *Outside the budget*: keys and probes, which reject layers that do not depend on their input or are not finite, in every arm; and what comes after the run. Nothing is audited.',
    `- *as found*: the fitness of the best layer by the run’s own measurements, which luck helped to choose, the more so the more layers were trained; the curves are of that kind too. *afresh*: the mean of ${QUALITY_REPEATS} further evaluations of that layer with other seeds, without the quality test: the same ones for all runs of one seed that found the layer, others for runs of other seeds. Known layers are evaluated likewise, with each seed. Fresh evaluations look at the same validation images. A run that found no layer counts as guessing, ${percent(guess)}.`,
    `- *less ${SEARCH_CONTROL}*: means of the differences between the runs of one seed, which give equal layers equal scores, in the runs and afresh, with their 95 % confidence interval; *p* is that of the paired t-test, two-sided, and *corrected* for the number of arms compared (Holm). Differences with a corrected p below ${ALPHA} are called shown. The test takes differences for normal, and few seeds find only large differences.`,
  ].join('\n');
