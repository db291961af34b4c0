import { UserError } from '../errors.ts';
import { flag, overridesFromFlags, resolveProtocol } from '../eval/presets.ts';
import type { Protocol } from '../eval/protocol.ts';
import { isRecord, mergeSettings } from '../eval/settings.ts';
import { ZOO } from '../graph/zoo.ts';
import { overrideSearchConfig, resolveSearchConfig, type SearchConfig } from '../search/config.ts';
import { spelledOut } from '../search/spaces.ts';
import { readJson } from './files.ts';

/** Where a search stops; these may be given again when it is resumed. */
export const STOP_FLAGS = {
  proposals: flag('--proposals <n>', ['stop', 'proposals'], 'how many layers to propose'),
  evaluations: flag(
    '--evaluations <n>',
    ['stop', 'evaluations'],
    'stop after training this many to the end',
  ),
  time: flag(
    '--time <duration>',
    ['stop', 'seconds'],
    'stop after this long, as in 90s, 30m, 8h or 2d',
    'duration',
  ),
  target: flag('--target <fitness>', ['stop', 'fitness'], 'stop at this mean accuracy'),
  patience: flag('--patience <n>', ['stop', 'patience'], 'stop after this many without a better'),
} as const;

/** The flags of `search` beside those of the protocol, by the names under which commander stores them. */
export const SEARCH_FLAGS = {
  ...STOP_FLAGS,
  seed: flag('--seed <n>', ['seed'], 'seed of the search'),
  protocolSeed: flag('--protocol-seed <n>', ['protocol', 'seed'], 'seed of all evaluations'),
  algorithm: flag('--algorithm <name>', ['algorithm'], 'evolution or random', 'text'),
  criterion: flag('--criterion <name>', ['criterion'], 'pareto or average', 'text'),
  population: flag('--population <n>', ['population'], 'youngest candidates that can be parents'),
  tournament: flag('--tournament <share>', ['tournament'], 'share of them that competes'),
  exploration: flag('--exploration <p>', ['exploration'], 'probability of a random layer'),
  founders: flag('--founders <n>', ['founders'], 'candidates to find before evolution begins'),
  genomeNodes: flag('--genome-nodes <n>', ['genomeNodes'], 'nodes of a genome'),
  space: flag('--space <name>', ['space', 'name'], 'what layers are made of', 'text'),
  ops: flag('--ops <name...>', ['space', 'ops'], 'ops that layers are made of', 'list'),
  indexSets: flag(
    '--index-sets <set...>',
    ['space', 'indexSets'],
    'what moments range over',
    'list',
  ),
  initialNodes: flag(
    '--initial-nodes <name...>',
    ['space', 'initialNodes'],
    'which of x, 0, v0, v1 layers may read',
    'list',
  ),
  lookahead: flag('--lookahead <n>', ['lookahead'], 'proposals in flight'),
  batchIndependent: flag(
    '--batch-independent',
    ['batchIndependent'],
    'reject layers that depend on the batch',
    'switch',
  ),
  cache: flag('--cache <key>', ['cache', 'by'], 'nothing, structure or function', 'text'),
  mantissaBits: flag(
    '--mantissa-bits <m>',
    ['cache', 'mantissaBits'],
    'digits of a function that are compared',
  ),
  cacheEvaluations: flag(
    '--cache-evaluations <m>',
    ['cache', 'evaluations'],
    'evaluations of a function before a hit is final',
  ),
  forget: flag('--forget <p>', ['cache', 'forget'], 'probability that a final hit is forgotten'),
  cacheCapacity: flag('--cache-capacity <n>', ['cache', 'capacity'], 'functions remembered'),
  audit: flag('--audit <share>', ['cache', 'audit'], 'share of hits that is evaluated again'),
  functionalChange: flag(
    '--functional-change <n>',
    ['functionalChange'],
    'mutate again, at most so often, until the function changes',
  ),
  tabu: flag(
    '--tabu <n>',
    ['tabu', 'limit'],
    'leave functions alone after this many proposals of them',
  ),
  rejectionAudit: flag(
    '--rejection-audit <share>',
    ['rejectionAudit'],
    'share of early rejections that is trained to the end',
  ),
  baseline: flag('--baseline <name...>', ['baselines'], 'layers of the zoo to score', 'list'),
  warmStart: flag('--warm-start <name...>', ['warmStart'], 'layers of the zoo to evolve', 'list'),
} as const;

/** `evaluate` has one seed, the protocol's. */
export const EVALUATION_FLAGS = {
  seed: flag('--seed <n>', ['seed'], 'seed of the evaluation'),
} as const;

/** What commander gives a command that has the options of `addProtocolOptions`. */
export type SettingOptions = Readonly<Record<string, unknown>> & {
  readonly preset: string;
  readonly config?: string;
};

function settingsFile(path: string | undefined): Record<string, unknown> {
  const content = path === undefined ? {} : readJson(path);
  if (!isRecord(content)) throw new UserError(`${path} must hold a JSON object of settings.`);
  // For editors: where the schema of such files is.
  const { $schema: _, ...settings } = content;
  const { protocol = {} } = settings;
  if (!isRecord(protocol))
    throw new UserError(`${path}: protocol is ${JSON.stringify(protocol)}; it must be an object.`);
  return settings;
}

/** What the flags of a search say. */
function searchFlags(options: Readonly<Record<string, unknown>>) {
  const protocol = overridesFromFlags(options);
  const search = overridesFromFlags(options, SEARCH_FLAGS);
  const spelled = Object.fromEntries(
    ['baselines', 'warmStart'].map((key) => [
      key,
      (search[key] as string[] | undefined)?.map(zooSpelling),
    ]),
  );
  return mergeSettings(mergeSettings({ protocol }, search), spelled);
}

export function searchConfigOf(options: SettingOptions, numerics: string): SearchConfig {
  const { preset, config } = options;
  const file = settingsFile(config);
  return resolveSearchConfig({ preset, file, flags: searchFlags(options), numerics });
}

/**
 * The stored configuration of a run with what is given besides. With a preset, all of a configuration is
 * given but where to stop; that is the run's own unless a file or a flag says otherwise.
 */
export function resumedConfigOf(
  options: Partial<SettingOptions>,
  stored: SearchConfig,
): SearchConfig {
  const { preset, config } = options;
  const file = settingsFile(config);
  const flags = searchFlags(options);
  const given = mergeSettings(spelledOut(file), spelledOut(flags)) as { readonly stop?: unknown };
  if (preset === undefined) return overrideSearchConfig(stored, given);
  const { numerics } = stored.protocol;
  const whole = resolveSearchConfig({ preset, file, flags, numerics });
  const { stop } = overrideSearchConfig(
    stored,
    given.stop === undefined ? {} : { stop: given.stop },
  );
  return { ...whole, stop };
}

/** Names of the zoo are found whatever their case; others stay, for the validation to name them. */
const zooSpelling = (name: string): string =>
  ZOO.find((known) => known.name.toLowerCase() === name.toLowerCase())?.name ?? name;

/** The protocol; a configuration file may say more, as for a search. */
export function protocolOf(options: SettingOptions, numerics: string): Protocol {
  const { protocol = {} } = settingsFile(options.config);
  const flags = mergeSettings(
    overridesFromFlags(options),
    overridesFromFlags(options, EVALUATION_FLAGS),
  );
  return resolveProtocol(options.preset, mergeSettings(protocol, flags) as object, numerics);
}
