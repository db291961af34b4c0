import { estimate, percent } from '../../format.ts';
import { REFERENCE_BITS } from '../../search/study/false-hits.ts';
import { HASHING_CONTROL } from '../../search/study/hashing.ts';
import { QUALITY_REPEATS } from '../../search/study/quality.ts';
import { type Column, table } from '../output.ts';
import type { ArmData, BitsData, CacheSummary, HashingData } from './hashing-data.ts';
import type { Estimate } from './summary.ts';
import {
  ARM,
  BUDGET_NOTE,
  counted,
  difference,
  docsOf,
  EVALUATED,
  inMarkdown,
  PROPOSALS,
  right,
  shareOf,
  TRAINING,
} from './tables.ts';

/** The interval of a ratio is not symmetric. */
const ratio = ({ mean, interval }: Estimate): string => {
  const times = (value: number) => `${value.toFixed(2)}×`;
  return interval === null
    ? times(mean)
    : `${times(mean)} (${times(interval[0])} to ${times(interval[1])})`;
};

/** The interval of a share is not symmetric either; without hits there is none. */
const FALSE_HITS = right<CacheSummary>('false hits', ({ falseHits: { count, hits, interval } }) =>
  interval === null
    ? ''
    : `${count} of ${hits} (${percent(interval[0])} to ${percent(interval[1])})`,
);

const COVERAGE: readonly Column<ArmData>[] = [
  PROPOSALS,
  right(`over ${HASHING_CONTROL}`, (row) => (row.ratio ? ratio(row.ratio) : '')),
  EVALUATED,
  right('known by structure', ({ hitRate }) => shareOf(hitRate.structural)),
  right('by function', ({ hitRate }) => shareOf(hitRate.functional)),
  right('evaluated once more', ({ partialRate }) => shareOf(partialRate)),
  FALSE_HITS,
  TRAINING,
  right('keys / training', ({ screening }) => shareOf(screening)),
];
const WORTH: readonly Column<ArmData>[] = [
  right('best, as found', ({ best }) => shareOf(best)),
  right('best, afresh', ({ quality }) => shareOf(quality)),
  right(`afresh, less ${HASHING_CONTROL}`, ({ gain }) => (gain ? difference(gain) : '')),
];

type BitsRow = BitsData & {
  readonly collisions: HashingData['collisions'][number];
};

const BITS: readonly Column<BitsRow>[] = [right('m', ({ bits }) => String(bits))];
const COLLISIONS: readonly Column<BitsRow>[] = [
  right('functions per key', ({ collisions: c }) => (c.functions / c.keys).toFixed(3)),
  right('merged with others', ({ collisions: c }) => estimate(c.merged / c.functions, null)),
  right('most in one key', ({ collisions: c }) => String(c.largest)),
];
const SWEEP: readonly Column<BitsRow>[] = [
  FALSE_HITS,
  PROPOSALS,
  right('best, as found', ({ best }) => shareOf(best)),
  right('best, afresh', ({ quality }) => shareOf(quality)),
];

const bitsRows = ({ bits, collisions }: HashingData): BitsRow[] =>
  bits.map((row) => ({ ...row, collisions: collisions.find((c) => c.bits === row.bits)! }));

/** For the terminal. */
export const armsTable = ({ arms }: HashingData): string =>
  [table(arms, [ARM, ...COVERAGE]), table(arms, [ARM, ...WORTH])].join('\n\n');

export const bitsTable = (data: HashingData): string =>
  `\n${table(bitsRows(data), [...BITS, ...COLLISIONS, ...SWEEP])}\n`;

/** The report, in Markdown, beside `figure.svg`. `command` gives the same study elsewhere. */
export function hashingReport(data: HashingData, command: string): string {
  return [
    '# Functional hashing: what it is worth',
    `\`${command}\`, protocol \`${data.protocol}\`. After the experiments of “Unified Functional Hashing in AutoML” ([arXiv 2302.05433](https://arxiv.org/abs/2302.05433)), at the scale of this preset. All numbers of every run are in [data.json](data.json).`,
    '![best fitness against training, proposals covered, collisions and quality against the precision of keys](figure.svg)',
    ...(data.arms.length > 0 ? armsSection(data) : []),
    ...(data.bits.length > 0 ? bitsSection(data) : []),
    ...methodSection(),
  ]
    .join('\n\n')
    .concat('\n');
}

const armsSection = (data: HashingData): string[] => [
  '## Searches with the same training',
  `${counted(data.seeds.length, 'run')} of each arm, each with a database of its own and a budget of ${counted(data.budget, 'full evaluation')}; ± and parentheses are 95 % confidence intervals over the seeds.`,
  inMarkdown(data.arms, [ARM, ...COVERAGE]),
  inMarkdown(data.arms, [ARM, ...WORTH]),
  docsOf(data.arms),
];

const bitsSection = (data: HashingData): string[] => [
  '## The precision of keys',
  `Keys keep m bits of each mantissa; a key digests outputs and gradients on several inputs, some hundred numbers, so that few bits of each may be enough. The first columns are about a fixed sample of ${counted(data.sample.structures, 'graph')} that pass the probe, half of them random, half mutations of known layers: they are ${counted(data.sample.functions, 'function')}, as keys of ${REFERENCE_BITS} bits tell. The others are about searches with keys of m bits, ${data.seeds.length} of each, with a budget of ${counted(data.bitsBudget, 'full evaluation')}.`,
  inMarkdown(bitsRows(data), [...BITS, ...COLLISIONS, ...SWEEP]),
];

const methodSection = (): string[] => [
  '## How it is counted',
  [
    `${BUDGET_NOTE} The known layers that it begins with are paid for like all others, and count as no proposals.`,
    '- *Outside the budget*: keys and probes, for which the measured time stands in the table, over that of the training; and what comes after the run. Nothing is audited.',
    '- *proposals*: layers covered within the budget, whatever became of them. *over no-cache*: their ratio for the same seed, as a geometric mean.',
    '- *known by structure, by function*: proposals that took over an earlier evaluation, *evaluated once more*: proposals that were recognised and evaluated all the same; as shares of the proposals that have a function at all.',
    `- *false hits*: those that took over the evaluation of another function, as keys of ${REFERENCE_BITS} bits tell, of the hits of all seeds together; in parentheses the exact 95 % interval of Clopper and Pearson. Equal graphs are equal functions, so that *structural* can have none.`,
    `- *best, as found*: the fitness of the best layer that the run knew at its end, by its own measurements, which luck helped to choose. *afresh*: the mean of ${QUALITY_REPEATS} further evaluations of that layer with other seeds, without the quality test; differences are taken seed by seed.`,
  ].join('\n'),
];
