import { existsSync } from 'node:fs';
import Database from 'better-sqlite3';
import type { Command, Option } from 'commander';
import { type StoredNames, storedNames } from '../../db/names.ts';
import { UserError } from '../errors.ts';
import { DEFAULT_DB } from './options.ts';

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
export async function completionsOf(
  words: readonly string[],
  command: Command | undefined,
  commands: readonly Completion[],
): Promise<Completion[]> {
  const before = words.slice(0, -1);
  const word = words.at(-1) ?? '';
  if (before.length === 0 || before[0] === 'help') return startingWith(word, commands);
  if (!command) return [];
  if (command.commands.length > 0) return inSubcommand(words, command);
  return ofCommand(words, command);
}

/** A command with commands of its own, such as `data fetch`. */
async function inSubcommand(words: readonly string[], command: Command): Promise<Completion[]> {
  const [, name = '', ...rest] = words;
  const inner = command.commands.find((known) => known.name() === name);
  if (inner && rest.length > 0) return ofCommand(words.slice(1), inner);
  if (rest.length > 0) return [];
  const names = command.commands.map((known) => ({
    ...{ value: known.name(), doc: known.description() },
  }));
  return startingWith(name, name.startsWith('-') ? flagsOf(command) : names);
}

async function ofCommand(words: readonly string[], command: Command): Promise<Completion[]> {
  const before = words.slice(0, -1);
  const word = words.at(-1) ?? '';
  const [flag, value] = flagAndValue(before, word);
  const option = command.options.find(({ long, short }) => flag === long || flag === short);
  if (option && takesValue(option)) return lastOfList(value, await valuesOf(option, words));
  if (word.startsWith('-')) return startingWith(word, flagsOf(command));
  return startingWith(word, await argumentsOf(command, words));
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

/** Asks what a name can be; what it takes is loaded only then, for nobody waits long after a tab. */
type Names = (words: readonly string[]) => Promise<Completion[]>;

const zoo: Names = async () => {
  const { ZOO } = await import('../graph/zoo.ts');
  return ZOO.map(({ name, doc }) => ({ value: name, doc }));
};

const datasets: Names = async () => {
  const { DATASETS } = await import('../eval/data-sources.ts');
  return [...DATASETS.values()].map(({ name, doc }) => ({ value: name, doc }));
};

const runs: Names = async (words) =>
  namesIn(words).runs.map(({ id, started }) => ({
    ...{ value: String(id), doc: `run of ${started.slice(0, 16).replace('T', ' ')}` },
  }));

/** Flags whose values are neither choices nor settings. */
const VALUES: Readonly<Record<string, Names>> = {
  '--preset': async () => plain(Object.keys((await import('../search/config.ts')).SEARCH_PRESETS)),
  '--run': runs,
  '--protocol': async (words) => plain(namesIn(words).protocols, 'protocol'),
};

async function valuesOf({ long, argChoices }: Option, words: readonly string[]) {
  if (argChoices) return plain(argChoices);
  const named = VALUES[long ?? ''];
  if (named) return named(words);
  const { valuesOfFlag } = await import('./schema.ts');
  return plain(valuesOfFlag(long ?? ''));
}

/** Arguments by their name in the usage. */
const ARGUMENTS: Readonly<Record<string, Names>> = {
  layer: zoo,
  layers: zoo,
  dataset: datasets,
  run: runs,
};

async function argumentsOf(command: Command, words: readonly string[]): Promise<Completion[]> {
  const argument = command.registeredArguments[0];
  if (!argument) return [];
  const { argChoices } = argument;
  return argChoices ? plain(argChoices) : ((await ARGUMENTS[argument.name()]?.(words)) ?? []);
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
