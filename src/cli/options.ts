import { type Command, Option } from 'commander';
import { UserError } from '../errors.ts';
import type { Flag } from '../eval/presets.ts';
import { didYouMean } from '../suggest.ts';

/** Where results are kept, unless --db says otherwise. */
export const DEFAULT_DB = 'evolayer.db';

export const dbOption = () =>
  new Option('--db <file>', 'the database').env('EVOLAYER_DB').default(DEFAULT_DB);

export const jsonOption = () => new Option('--json', 'print JSON');

/** An option that takes one of some words; another one is refused with the nearest of them. */
export function choiceOption(flags: string, doc: string, choices: readonly string[]): Option {
  const [flag] = flags.split(' ');
  return new Option(flags, doc).choices(choices).argParser((text: string) => {
    if (choices.includes(text)) return text;
    throw new UserError(
      `${flag} is ${JSON.stringify(text)}; it must be one of ${choices.join(', ')}.${didYouMean(text, choices)}`,
    );
  });
}

/** Options of a command from a table of flags. Lists may be given as a,b or by repeating the flag. */
export function addFlags(command: Command, flags: Readonly<Record<string, Flag>>): Command {
  for (const { flag, doc, kind } of Object.values(flags)) {
    const option = new Option(flag.replace('...', ''), doc);
    if (kind === 'list')
      option.argParser((value: string, before: string[] | undefined) => [...(before ?? []), value]);
    command.addOption(option);
    if (kind === 'on or off')
      command.addOption(new Option(flag.replace(/^--/, '--no-'), `do not ${doc}`));
  }
  return command;
}

/** Reads the number of a run, also as it begins ids (r3). */
export function runNumberFrom(what: string): (text: string) => number {
  return (text) => {
    const [, number] = /^r?([1-9]\d{0,14})$/.exec(text.trim()) ?? [];
    if (number !== undefined) return Number(number);
    throw new UserError(
      `${what} is ${JSON.stringify(text.trim())}; it must be the number of a run, such as 3.`,
    );
  };
}

/** Reads a whole number that is no part of the configuration. */
export function countFrom(flag: string, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text.trim()) ? Number(text) : Number.NaN;
    if (value >= 1 && value <= max) return value;
    throw new UserError(
      `${flag} is ${JSON.stringify(text.trim())}; it must be a whole number from 1 to ${max}.`,
    );
  };
}
