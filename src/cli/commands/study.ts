import { join } from 'node:path';
import { Argument, type Command, Option } from 'commander';
import { UserError } from '../../errors.ts';
import { nativeEngine } from '../../eval/native/engine.ts';
import { HASHING_ARMS } from '../../search/study/arms.ts';
import { HASHING_BITS, type HashingStudy, hashingStudy } from '../../search/study/hashing.ts';
import { didYouMean } from '../../suggest.ts';
import { makeFolder, writeWhole } from '../files.ts';
import { INTERRUPTED, interruptibly } from '../interrupt.ts';
import { countFrom, jsonOption } from '../options.ts';
import { note, print, printJson, quoted } from '../output.ts';
import { addProtocolOptions } from '../protocol-options.ts';
import { addWorkersOption } from '../session.ts';
import { type SettingOptions, searchConfigOf } from '../settings.ts';
import { conduct } from '../study/conduct.ts';
import { hashingData } from '../study/data.ts';
import { studyPlan, tellStudyPlan } from '../study/plan.ts';
import { armsTable, bitsTable, reportOf } from '../study/report.ts';

const STUDIES = ['hashing'] as const;
const ARM_NAMES = HASHING_ARMS.map(({ name }) => name);

export const studyCommand = (program: Command) => {
  const command = program
    .command('study')
    .addArgument(new Argument('<study>', 'what to compare').choices(STUDIES));
  return addWorkersOption(addProtocolOptions(command))
    .option('--seeds <n>', 'runs of each arm', countFrom('--seeds', 1000), 3)
    .addOption(
      budgetOption(
        '--budget',
        'training of each run, in full evaluations of one candidate',
      ).default(100),
    )
    .addOption(
      budgetOption('--bits-budget', 'the same for the runs of --bits; by default --budget'),
    )
    .addOption(armsOption())
    .addOption(bitsOption())
    .option('--sample <n>', 'graphs whose keys are compared', countFrom('--sample', 1e6), 20_000)
    .option('--dir <folder>', 'where the runs are kept, to go on with', 'study-hashing')
    .option('-o, --output <folder>', 'for the report, the figure and the data; by default --dir')
    .option('--dry-run', 'tell how many runs there are and what they cost, and stop')
    .addOption(jsonOption())
    .action(async (_study: string, options: StudyOptions) => study(options));
};

type StudyOptions = SettingOptions & {
  readonly workers: number;
  readonly seeds: number;
  readonly budget: number;
  readonly bitsBudget?: number;
  readonly arms: readonly string[];
  readonly bits: readonly number[];
  readonly sample: number;
  readonly dir: string;
  readonly output?: string;
  readonly dryRun?: true;
  readonly json?: true;
};

const budgetOption = (flag: string, doc: string) =>
  new Option(`${flag} <n>`, doc).argParser((text: string) => {
    const value = /^\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : Number.NaN;
    if (value > 0 && value <= 1e6) return value;
    throw new UserError(
      `${flag} is ${JSON.stringify(text)}; it must be a number above 0 and up to 1,000,000.`,
    );
  });

/** An option that takes a,b or is repeated; `none` stands for an empty list. */
function listOption<T>(
  flag: string,
  doc: string,
  all: readonly T[],
  itemOf: (text: string) => T,
): Option {
  let given: T[] | undefined;
  return new Option(flag, doc)
    .argParser((text: string) => {
      const items = text.split(',').filter((item) => item !== '' && item !== 'none');
      given = [...new Set([...(given ?? []), ...items.map(itemOf)])];
      return given;
    })
    .default(all, all.join(','));
}

function armsOption(): Option {
  const option = listOption('--arms <names>', 'searches to compare, or none', ARM_NAMES, (name) => {
    if (ARM_NAMES.includes(name)) return name;
    throw new UserError(
      `There is no arm ${JSON.stringify(name)}; the arms are ${ARM_NAMES.join(', ')}, or none.${didYouMean(name, ARM_NAMES)}`,
    );
  });
  option.argChoices = [...ARM_NAMES, 'none'];
  return option;
}

const bitsOption = (): Option =>
  listOption('--bits <m>', 'mantissa bits of keys to compare, or none', HASHING_BITS, (text) => {
    const bits = /^\d+$/.test(text.trim()) ? Number(text) : Number.NaN;
    if (bits >= 1 && bits <= 52) return bits;
    throw new UserError(
      `--bits has ${JSON.stringify(text)}; it must be whole numbers from 1 to 52, such as 1,5,20, or none.`,
    );
  });

async function study(options: StudyOptions): Promise<void> {
  const engine = nativeEngine();
  const planned = studyOf(options, engine.numerics);
  if (options.dryRun)
    return tellStudyPlan(await studyPlan(planned, engine, options.workers), options);
  const folder = options.output ?? options.dir;
  // Both now, so that what is wrong with them is told before hours of work.
  for (const path of [options.dir, folder]) makeFolder(path);
  const findings = await interruptibly(
    (signal) => conduct(planned, { workers: options.workers, signal, say: note }),
    note,
  );
  if (findings === null) {
    process.exitCode = INTERRUPTED;
    note('Interrupted; what is done is saved.');
    return note(`To go on: evolayer ${process.argv.slice(2).map(quoted).join(' ')}`);
  }
  const data = hashingData(planned, findings);
  const { figureOf } = await import('../study/figure.ts');
  writeWhole(join(folder, 'data.json'), `${JSON.stringify(data, null, 1)}\n`);
  writeWhole(join(folder, 'figure.svg'), await figureOf(data));
  writeWhole(join(folder, 'REPORT.md'), reportOf(data, commandLine(options)));
  if (options.json) return printJson(data);
  if (data.arms.length > 0) print(armsTable(data));
  if (data.bits.length > 0) print(bitsTable(data));
  print(`The report is ${join(folder, 'REPORT.md')}.`);
}

function studyOf(options: StudyOptions, numerics: string): HashingStudy {
  const { arms, bits, seeds, budget, bitsBudget = budget, sample, dir } = options;
  if (arms.length + bits.length === 0)
    throw new UserError('The study has neither --arms nor --bits, so it has nothing to compare.');
  const config = searchConfigOf(options, numerics);
  return hashingStudy({ config, arms, bits, seeds, budget, bitsBudget, sample, folder: dir });
}

/** What gives the same study elsewhere, but for settings of the protocol and files. */
function commandLine(options: StudyOptions): string {
  const { preset, seeds, budget, bitsBudget = budget, arms, bits, sample } = options;
  const list = (flag: string, given: readonly unknown[], all: readonly unknown[]) =>
    given === all ? [] : [flag, given.length > 0 ? given.join(',') : 'none'];
  return [
    ...['evolayer', 'study', 'hashing', '--preset', preset],
    ...['--seeds', String(seeds), '--budget', String(budget)],
    ...list('--arms', arms, ARM_NAMES),
    ...list('--bits', bits, HASHING_BITS),
    ...(bitsBudget === budget ? [] : ['--bits-budget', String(bitsBudget)]),
    ...['--sample', String(sample)],
  ].join(' ');
}
