import { existsSync } from 'node:fs';
import Database from 'better-sqlite3';
import type { Command, Option } from 'commander';
import { type StoredNames, storedNames } from '../../db/names.ts';
import { UserError } from '../errors.ts';
import { type Flag, PROTOCOL_FLAGS } from '../eval/presets.ts';
import { isRecord } from '../eval/settings.ts';
import { ZOO } from '../graph/zoo.ts';
import { SEARCH_PRESETS } from '../search/config.ts';
import { DEFAULT_DB } from './options.ts';
import { configSchema, propertyOf } from './schema.ts';
import { SEARCH_FLAGS } from './settings.ts';

/** What a word can become, with a few words on it. */
export interface Completion {
  readonly value: string;
  readonly doc: string;
}

/**
 * What the last of `words` can become; the others stand before it on the command line, after the program's
 * name. `command` is the one that the first word names, if any; `commands` are all there are. Nothing where
 * a file or a number is wanted.
 */
export function completionsOf(
  words: readonly string[],
  command: Command | undefined,
  commands: readonly Completion[],
): Completion[] {
  const before = words.slice(0, -1);
  const word = words.at(-1) ?? '';
  if (before.length === 0 || before[0] === 'help') return startingWith(word, commands);
  if (!command) return [];
  const [flag, value] = flagAndValue(before, word);
  const option = command.options.find(({ long, short }) => flag === long || flag === short);
  if (option && takesValue(option)) return lastOfList(value, valuesOf(option, words));
  if (word.startsWith('-')) return startingWith(word, flagsOf(command));
  return startingWith(word, argumentsOf(command, words));
}

/**
 * The flag that the last word is the value of. A shell may tell --flag=value as one word, or as bash does
 * as three.
 */
function flagAndValue(before: readonly string[], word: string): [flag: string, value: string] {
  const joined = /^(--[\w-]+)=(.*)$/.exec(word);
  if (joined) return [joined[1]!, joined[2]!];
  if (word === '=') return [before.at(-1)!, ''];
  if (before.at(-1) === '=') return [before.at(-2) ?? '', word];
  return [before.at(-1)!, word];
}

const takesValue = ({ required, optional }: Option): boolean => required || optional;

const startingWith = (start: string, all: readonly Completion[]): Completion[] =>
  all.filter(({ value }) => value.toLowerCase().startsWith(start.toLowerCase()));

/** Flags that are lists take a,b: what stands before the last comma stays. */
function lastOfList(word: string, all: readonly Completion[]): Completion[] {
  const comma = word.lastIndexOf(',') + 1;
  const kept = word.slice(0, comma);
  return startingWith(word.slice(comma), all).map(({ value, doc }) => ({
    ...{ value: kept + value, doc },
  }));
}

const flagsOf = (command: Command): Completion[] =>
  command
    .createHelp()
    .visibleOptions(command)
    .flatMap(({ long, description }) => (long ? [{ value: long, doc: description }] : []));

const plain = (names: Iterable<string>, doc = ''): Completion[] =>
  [...names].map((value) => ({ value, doc }));

const zoo = (): Completion[] => ZOO.map(({ name, doc }) => ({ value: name, doc }));

const runs = (words: readonly string[]): Completion[] =>
  namesIn(words).runs.map(({ id, started }) => ({
    ...{ value: String(id), doc: `run of ${started.slice(0, 16).replace('T', ' ')}` },
  }));

/** Flags whose values are neither choices nor settings. */
const VALUES: Readonly<Record<string, (words: readonly string[]) => Completion[]>> = {
  '--preset': () => plain(Object.keys(SEARCH_PRESETS)),
  '--run': runs,
  '--protocol': (words) => plain(namesIn(words).protocols, 'protocol'),
};

function valuesOf({ long, argChoices }: Option, words: readonly string[]): Completion[] {
  if (argChoices) return plain(argChoices);
  const named = VALUES[long ?? ''];
  return named ? named(words) : plain(settingValues(long ?? ''));
}

/** The values that the schema of the configuration has for the setting behind a flag. */
function settingValues(long: string): string[] {
  const find = (flags: Readonly<Record<string, Flag>>, prefix: readonly string[]) => {
    const found = Object.values(flags).find(({ flag }) => flag.split(' ')[0] === long);
    return found && propertyOf(configSchema(), [...prefix, ...found.path]);
  };
  const setting = find(SEARCH_FLAGS, []) ?? find(PROTOCOL_FLAGS, ['protocol']);
  const values = isRecord(setting?.items) ? setting.items.enum : setting?.enum;
  return Array.isArray(values) ? values.map(String) : [];
}

/** Arguments by their name in the usage. */
const ARGUMENTS: Readonly<Record<string, (words: readonly string[]) => Completion[]>> = {
  layer: zoo,
  layers: zoo,
  run: runs,
};

function argumentsOf(command: Command, words: readonly string[]): Completion[] {
  const argument = command.registeredArguments[0];
  if (!argument) return [];
  return argument.argChoices
    ? plain(argument.argChoices)
    : (ARGUMENTS[argument.name()]?.(words) ?? []);
}

const NO_NAMES: StoredNames = { runs: [], protocols: [] };

/** What the database of the command line can name; a database that cannot be read names nothing. */
function namesIn(words: readonly string[]): StoredNames {
  const flag = words.indexOf('--db');
  const path = (flag >= 0 && words[flag + 1]) || process.env.EVOLAYER_DB || DEFAULT_DB;
  if (!existsSync(path)) return NO_NAMES;
  try {
    return storedNames(path);
  } catch (error) {
    if (error instanceof UserError || error instanceof Database.SqliteError) return NO_NAMES;
    throw error;
  }
}
