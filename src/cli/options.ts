import { type Command, Option } from 'commander';
import { UserError } from '../errors.ts';
import type { Flag } from '../eval/presets.ts';

/** Where results are kept, unless --db says otherwise. */
export const DEFAULT_DB = 'evolayer.db';

export const dbOption = () =>
  new Option('--db <file>', 'the database').env('EVOLAYER_DB').default(DEFAULT_DB);

export const jsonOption = () => new Option('--json', 'print JSON');

/** Options of a command from a table of flags. Lists may be given as a,b or by repeating the flag. */
export function addFlags(command: Command, flags: Readonly<Record<string, Flag>>): Command {
  for (const { flag, doc, kind } of Object.values(flags)) {
    const option = new Option(flag.replace('...', ''), doc);
    if (kind === 'list')
      option.argParser((value: string, before: string[] | undefined) => [...(before ?? []), value]);
    command.addOption(option);
  }
  return command;
}

/** Reads a whole number that is no part of the configuration. */
export function countFrom(flag: string, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text.trim()) ? Number(text) : Number.NaN;
    if (value >= 1 && value <= max) return value;
    throw new UserError(
      `${flag} is ${JSON.stringify(text)}; it must be a whole number from 1 to ${max}.`,
    );
  };
}

/** Reads a day such as 2026-11-20, or a time of one (UTC unless it says where), as ISO 8601. */
export function dateFrom(flag: string): (text: string) => string {
  return (text) => {
    const form =
      /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)(Z|[+-]\d{2}:\d{2})?)?$/;
    const [, day, time = '00:00', zone = 'Z'] = form.exec(text.trim()) ?? [];
    const midnight = new Date(`${day}T00:00Z`);
    const date = new Date(`${day}T${time}${zone}`);
    // A 31st of February would be taken for a day of March.
    if (!Number.isNaN(date.getTime()) && midnight.toISOString().slice(0, 10) === day)
      return date.toISOString();
    throw new UserError(
      `${flag} is ${JSON.stringify(text)}; it must be a date such as 2026-11-20 or 2026-11-20T08:30.`,
    );
  };
}
