import { type Command, Option } from 'commander';
import { UserError } from '../../errors.ts';
import { didYouMean } from '../../suggest.ts';
import { addEngineOptions } from '../engine-options.ts';
import { countFrom, jsonOption } from '../options.ts';
import { addProtocolOptions } from '../protocol-options.ts';
import { addWorkersOption } from '../session.ts';

export const budgetOption = (flag: string, doc: string): Option =>
  new Option(`${flag} <n>`, doc).argParser((text: string) => {
    const value = /^\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : Number.NaN;
    if (value > 0 && value <= 1e6) return value;
    throw new UserError(
      `${flag} is ${JSON.stringify(text)}; it must be a number above 0 and up to 1,000,000.`,
    );
  });

/** What no item is: the empty list. */
const NONE = 'none';

/** An option that takes a,b or is repeated; with `mayBeNone`, `none` stands for an empty list. */
export function listOption<T>(
  flag: string,
  doc: string,
  { all, itemOf, mayBeNone }: ListItems<T>,
): Option {
  let given: T[] | undefined;
  return new Option(flag, mayBeNone ? `${doc}, or none` : doc)
    .argParser((text: string) => {
      const words = mayBeNone ? text.split(',').filter((word) => word !== NONE) : text.split(',');
      const items = words.filter((word) => word !== '' || !mayBeNone).map(itemOf);
      given = [...new Set([...(given ?? []), ...items])];
      return given;
    })
    .default(all, all.join(','));
}

interface ListItems<T> {
  /** By default. */
  readonly all: readonly T[];
  /** Throws a UserError for what is none. */
  readonly itemOf: (text: string) => T;
  readonly mayBeNone: boolean;
}

/** The words that give such a list, which are none where it is the default. */
export const listWords = <T>(flag: string, given: readonly T[], all: readonly T[]): string[] =>
  given.length === all.length && given.every((item) => all.includes(item))
    ? []
    : [flag, given.length > 0 ? given.join(',') : NONE];

function armsOption(all: readonly string[], mayBeNone: boolean): Option {
  const itemOf = (name: string) => {
    if (all.includes(name)) return name;
    const none = mayBeNone ? `, or ${NONE}` : '';
    throw new UserError(
      `There is no arm ${JSON.stringify(name)}; the arms are ${all.join(', ')}${none}.${didYouMean(name, all)}`,
    );
  };
  const option = listOption('--arms <names>', 'searches to compare', { all, itemOf, mayBeNone });
  option.argChoices = [...all, ...(mayBeNone ? [NONE] : [])];
  return option;
}

export interface StudyDefaults {
  readonly name: string;
  readonly arms: readonly string[];
  readonly mayLackArms: boolean;
  readonly seeds: number;
  readonly budget: number;
  readonly own: readonly Option[];
}

/** The options of all studies, and those that only this one has. */
export function addStudyOptions(command: Command, defaults: StudyDefaults): Command {
  const { name, arms, mayLackArms, seeds, budget, own } = defaults;
  addWorkersOption(addEngineOptions(addProtocolOptions(command)))
    .option('--seeds <n>', 'runs of each arm', countFrom('--seeds', 1000), seeds)
    .addOption(
      budgetOption(
        '--budget',
        'training of each run, in full evaluations of one candidate',
      ).default(budget),
    )
    .addOption(armsOption(arms, mayLackArms));
  for (const option of own) command.addOption(option);
  return command
    .option('--dir <folder>', 'where the runs are kept, to go on with', `study-${name}`)
    .option('-o, --output <folder>', 'for the report, the figure and the data; by default --dir')
    .option('--dry-run', 'tell how many runs there are and what they cost, and stop')
    .addOption(jsonOption());
}
