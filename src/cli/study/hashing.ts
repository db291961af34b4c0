import { Option } from 'commander';
import { UserError } from '../../errors.ts';
import { type Collisions, collisionsAt, sampleFunctions } from '../../search/study/collisions.ts';
import {
  HASHING_ARMS,
  HASHING_BITS,
  type HashingStudy,
  hashingStudy,
} from '../../search/study/hashing.ts';
import { countFrom } from '../options.ts';
import type { Rest } from './conduct.ts';
import { type CollisionFindings, type HashingData, hashingData } from './hashing-data.ts';
import { armsTable, bitsTable, hashingReport } from './hashing-report.ts';
import type { Foretold, StudyKind, StudyOptions } from './kind.ts';
import { budgetOption, listOption, listWords } from './options.ts';
import { planLines, type StudyPlan } from './plan.ts';
import { counted } from './tables.ts';

type HashingOptions = StudyOptions & {
  readonly bits: readonly number[];
  readonly bitsBudget?: number;
  readonly sample: number;
};

/** What a cache of functions is worth, and how precise its keys must be. */
export const hashingKind: StudyKind<HashingOptions, HashingStudy, CollisionFindings, HashingData> =
  {
    name: 'hashing',
    doc: 'Compare ways to recognise candidates that compute the same.',
    arms: HASHING_ARMS,
    ...{ mayLackArms: true, seeds: 3, budget: 100 },
    options: () => [
      budgetOption('--bits-budget', 'the same for the runs of --bits; by default --budget'),
      bitsOption(),
      new Option('--sample <n>', 'graphs whose keys are compared')
        .argParser(countFrom('--sample', 1e6))
        .default(20_000),
    ],
    studyOf(config, { arms, bits, seeds, budget, bitsBudget = budget, sample, dir }) {
      if (arms.length + bits.length === 0)
        throw new UserError(
          'The study has neither --arms nor --bits, so it has nothing to compare.',
        );
      return hashingStudy({ config, arms, bits, seeds, budget, bitsBudget, sample, folder: dir });
    },
    foretell,
    rest: (study) => (work) => allCollisions(study, work),
    dataOf: hashingData,
    tables: (data) => [
      ...(data.arms.length > 0 ? [armsTable(data)] : []),
      ...(data.bits.length > 0 ? [bitsTable(data)] : []),
    ],
    figureOf: async (data) => (await import('./hashing-figure.ts')).hashingFigure(data),
    reportOf: hashingReport,
    flags: ({ bits, budget, bitsBudget = budget, sample }) => [
      ...listWords('--bits', bits, HASHING_BITS),
      ...(bitsBudget === budget ? [] : ['--bits-budget', String(bitsBudget)]),
      ...['--sample', String(sample)],
    ],
  };

const bitsOption = (): Option =>
  listOption('--bits <m>', 'mantissa bits of keys to compare', {
    ...{ all: HASHING_BITS, mayBeNone: true },
    itemOf(text) {
      const bits = /^\d+$/.test(text.trim()) ? Number(text) : Number.NaN;
      if (bits >= 1 && bits <= 52) return bits;
      throw new UserError(
        `--bits has ${JSON.stringify(text)}; it must be whole numbers from 1 to 52, such as 1,5,20, or none.`,
      );
    },
  });

async function foretell(study: HashingStudy, common: StudyPlan): Promise<Foretold> {
  const { bits, bitsBudget } = study;
  const sampleSeconds = await sampleSecondsOf(study);
  const plan = {
    ...{ ...common, bits, bitsBudget },
    cost: {
      ...common.cost,
      /** Of the sample, by one thread: drawing it, and its keys of all precisions. */
      sampleSeconds,
    },
    seconds: common.seconds + sampleSeconds,
  };
  const keys = `Keys of ${bits.join(', ')} bits, ${counted(bitsBudget, 'full evaluation')} each.`;
  return { plan, lines: planLines(plan, bits.length > 0 ? [keys] : []) };
}

/** Structures whose keys are timed, which takes a second or less. */
const TIMED = 200;

async function sampleSecondsOf({ base, bits, sample: structures }: HashingStudy): Promise<number> {
  if (bits.length === 0) return 0;
  const pause = async () => {};
  const start = performance.now();
  const sample = await sampleFunctions(TIMED, base, pause);
  const drawn = performance.now();
  await collisionsAt(bits[0]!, sample, pause);
  const keyed = performance.now();
  return ((drawn - start + bits.length * (keyed - drawn)) * (structures / TIMED)) / 1000;
}

async function allCollisions(
  { base, bits, sample: structures }: HashingStudy,
  { say, pause }: Parameters<Rest<CollisionFindings>>[0],
): Promise<CollisionFindings> {
  if (bits.length === 0)
    return { sample: { drawn: 0, structures: 0, functions: [] }, collisions: [] };
  say(`drawing ${structures} different graphs`);
  const sample = await sampleFunctions(structures, base, pause);
  const collisions: Collisions[] = [];
  for (const m of bits) {
    say(`keys of ${m} bits for ${sample.functions.length} functions`);
    collisions.push(await collisionsAt(m, sample, pause));
  }
  return { sample, collisions };
}
