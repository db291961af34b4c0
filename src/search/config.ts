import * as z from 'zod';
import { UserError } from '../errors.ts';
import { overrideProtocol, type ProtocolOverrides, resolveProtocol } from '../eval/presets.ts';
import { type Protocol, protocolSchema, withoutPlace } from '../eval/protocol.ts';
import {
  isRecord,
  mergeSettings,
  oneOf,
  realNumber,
  settings,
  trueOrFalse,
  validate,
  wholeNumber,
} from '../eval/settings.ts';
import { genomeOf, isBatchIndependent, MAX_NODES } from '../graph/genome.ts';
import type { LayerGraph } from '../graph/graph.ts';
import { ZOO } from '../graph/zoo.ts';
import { didYouMean } from '../suggest.ts';
import { ALGORITHMS, type AlgorithmName } from './algorithm.ts';
import { cacheShape } from './cache.ts';
import { PRIMITIVES, primitivesOf } from './space.ts';
import { PAPER, type Space, spaceShape, spelledOut, strangerIn } from './spaces.ts';
import { stopShape } from './stop.ts';

const ZOO_NAMES = ZOO.map(({ name }) => name) as [string, ...string[]];
const ALGORITHM_NAMES = Object.keys(ALGORITHMS) as [AlgorithmName, ...AlgorithmName[]];

const zooNames = () =>
  z
    .array(oneOf(ZOO_NAMES), 'a list of names of the zoo')
    .refine((names) => new Set(names).size === names.length, 'a list without repetitions');

const configShape = settings({
  /** Everything random in the search depends on it; evaluations depend on the protocol's. */
  seed: wholeNumber(0, 2 ** 32 - 1),
  stop: stopShape,
  /**
   * A proposal sees the results of those that lie at least this far before it. Less lets evolution learn
   * sooner, more keeps more workers busy: most proposals cost nothing, so that 2 workers want about 32,
   * 4 want 64, 16 want 256 and 64 want 1024. The results do not depend on the number of workers.
   */
  lookahead: wholeNumber(1, 10_000),
  algorithm: oneOf(ALGORITHM_NAMES),
  /** The aging window: how many of the youngest evaluated candidates can be parents. */
  population: wholeNumber(1, 1_000_000),
  /** Share of the population that competes to be a parent, but at least `tournamentMinimum`. */
  tournament: realNumber(0, 1),
  tournamentMinimum: wholeNumber(1, 1_000_000),
  criterion: oneOf(['pareto', 'average']),
  /** Probability of a fresh random genome in place of a mutated parent. */
  exploration: realNumber(0, 1),
  /** Proposals are random until this many candidates were evaluated. */
  founders: wholeNumber(1, 1_000_000),
  /** Nodes of a genome besides the four initial ones. */
  genomeNodes: wholeNumber(1, MAX_NODES),
  /** How often a primitive is drawn, relative to the others; 1 where nothing is said. */
  primitiveWeights: settings(
    Object.fromEntries(PRIMITIVES.map(({ name }) => [name, realNumber(0, 1_000_000).optional()])),
  ),
  /** What genomes are made of. */
  space: spaceShape,
  /** Rejects layers with live moments over the batch. */
  batchIndependent: trueOrFalse(),
  /** Layers of the zoo that are evaluated first, as the bar to beat. */
  baselines: zooNames(),
  /** Layers of the zoo that are evaluated first and belong to the population. */
  warmStart: zooNames(),
  cache: cacheShape,
  /** How often, at most, a mutated genome that still computes what its parent does is mutated again; 0 for never. */
  functionalChange: wholeNumber(0, 1000),
  /** Keeps the search away from functions that it knows well enough. */
  tabu: settings({
    /** Proposals of a function after which it is over-explored; 0 for never. */
    limit: wholeNumber(0, 1_000_000_000),
    /** How often a proposal of such a function is drawn again, at most; the last draw is taken whatever it is. */
    attempts: wholeNumber(1, 1000),
  }),
  /** Share of the rejections by early tests whose candidate is trained to the end, to see what they are worth. */
  rejectionAudit: realNumber(0, 1),
  protocol: protocolSchema,
});

/** Everything that decides the course of a search, and where it stops. Plain JSON; stored with the run. */
export type SearchConfig = z.output<typeof configShape>;

export const searchConfigSchema = configShape.superRefine((config, context) => {
  const { primitiveWeights, space, warmStart } = config;
  if (primitivesOf({ space }).every(({ name }) => primitiveWeights[name] === 0))
    context.addIssue({
      code: 'custom',
      path: ['primitiveWeights'],
      message: 'an object that leaves at least one primitive of the space above 0',
    });
  warmStart.forEach((name, i) => {
    const stranger = strangerInLayer(name, space);
    if (stranger !== null)
      context.addIssue({
        code: 'custom',
        path: ['warmStart', i],
        message: `a layer of the space, which has no ${stranger}`,
      });
  });
});

const zooLayer = (name: string): LayerGraph => ZOO.find((known) => known.name === name)!.layer;

const strangerInLayer = (name: string, space: Space): string | null =>
  strangerIn(genomeOf(zooLayer(name)), space);

/** What a search is without preset: the paper's settings (Liu et al. 2020), where it gives them. */
const DEFAULTS: Omit<SearchConfig, 'protocol'> = {
  seed: 0,
  stop: { proposals: 10_000 },
  lookahead: 256,
  algorithm: 'evolution',
  population: 2500,
  tournament: 0.05,
  tournamentMinimum: 2,
  criterion: 'pareto',
  exploration: 0.5,
  founders: 10,
  genomeNodes: 10,
  primitiveWeights: {},
  space: spaceShape.parse(undefined),
  batchIndependent: false,
  baselines: ['BN-ReLU', 'BN-SiLU', 'EvoNorm-B0', 'EvoNorm-S0'],
  warmStart: [],
  cache: {
    by: 'function',
    mantissaBits: 20,
    evaluations: 1,
    forget: 0,
    capacity: 100_000,
    shared: true,
    audit: 0.01,
  },
  functionalChange: 0,
  tabu: { limit: 0, attempts: 10 },
  rejectionAudit: 0.01,
};

/** Presets by name; each goes with the protocol preset of the same name. */
export const SEARCH_PRESETS: Readonly<Record<string, Partial<Omit<SearchConfig, 'protocol'>>>> = {
  /**
   * For minutes. Of 2,000 random graphs seven different functions could be trained at all, none of which
   * normalizes, and nearly all mutations of such a short layer are neutral or fatal; but a third of the
   * mutations of a normalizing layer that change it can be trained. So this preset starts from known
   * layers (EvoNorm's are left out, to be beaten) where the paper has the time to start from nothing;
   * `warmStart: []` does as the paper. The window is short and tournaments are large enough to select
   * among few, so that evolution gets going within a few hundred proposals.
   */
  quick: {
    stop: { proposals: 1200 },
    lookahead: 64,
    population: 100,
    tournament: 0.1,
    tournamentMinimum: 3,
    exploration: 0.1,
    founders: 1,
    warmStart: ['BN-ReLU', 'GN-ReLU', 'DyT'],
  },
  /**
   * For hours: begins as `quick` does, with a larger window, and spends no proposal on what it knows: children
   * compute something else than their parents, and no function is proposed more than five times.
   */
  standard: {
    stop: { proposals: 20_000 },
    lookahead: 256,
    population: 300,
    tournament: 0.05,
    tournamentMinimum: 5,
    exploration: 0.1,
    founders: 1,
    warmStart: ['BN-ReLU', 'GN-ReLU', 'DyT'],
    functionalChange: 10,
    tabu: { limit: 5, attempts: 10 },
  },
  /** EvoNorm's searches; what the paper gives no number for is as in the defaults. */
  'paper-b': { lookahead: 1024, stop: { proposals: 100_000 } },
  'paper-s': { lookahead: 1024, stop: { proposals: 100_000 }, batchIndependent: true },
};

export interface ConfigSources {
  readonly preset?: string;
  /** The content of a configuration file: any part of a SearchConfig. */
  readonly file?: unknown;
  /** The same, from flags. */
  readonly flags?: unknown;
  /** `Engine.numerics` of the engine that will run. */
  readonly numerics: string;
}

/** Any part of a SearchConfig, not validated yet. */
type Given = { readonly protocol?: unknown } & Readonly<Record<string, unknown>>;

/** The configuration: defaults < preset < file < flags. A UserError names the first wrong setting. */
export function resolveSearchConfig(sources: ConfigSources): SearchConfig {
  const { preset = 'quick', file = {}, flags = {}, numerics } = sources;
  if (!isRecord(file)) throw new UserError('The configuration file must hold a JSON object.');
  const given = mergeSettings(spelledOut(file), spelledOut(flags)) as Given;
  const base = { ...DEFAULTS, ...presetNamed(preset) };
  const { batchIndependent = base.batchIndependent } = given;
  const canFound = (name: string) =>
    isInside(given.space)(name) &&
    (batchIndependent !== true || isBatchIndependent(zooLayer(name)));
  return complete({ ...base, warmStart: base.warmStart.filter(canFound) }, given, (overrides) =>
    resolveProtocol(preset, overrides, numerics),
  );
}

/** A stored configuration with other settings in place of some of its own. A UserError names the first wrong one. */
export function overrideSearchConfig(stored: SearchConfig, given: unknown): SearchConfig {
  if (!isRecord(given)) throw new UserError('The configuration file must hold a JSON object.');
  const { protocol, ...base } = stored;
  return complete(base, spelledOut(given) as Given, (overrides) =>
    overrideProtocol(protocol, overrides),
  );
}

/** Which layers of a preset are left when the space is given; none is where the space is not valid. */
function isInside(given: unknown): (name: string) => boolean {
  const found = spaceShape.safeParse(mergeSettings(DEFAULTS.space, given));
  return (name) => found.success && strangerInLayer(name, found.data) === null;
}

/**
 * All of a configuration but where the run stops and where a data file lies, as it is stored. Settings that older versions did not have
 * are as these versions took them.
 */
export function courseOf({ stop: _, ...rest }: SearchConfig): unknown {
  const older: Partial<typeof rest> = rest;
  const protocol = withoutPlace(rest.protocol);
  return JSON.parse(JSON.stringify({ ...rest, protocol, space: older.space ?? PAPER }));
}

function complete(
  base: object,
  { protocol: overrides = {}, ...search }: Given,
  protocolOf: (overrides: ProtocolOverrides) => Protocol,
): SearchConfig {
  if (!isRecord(overrides))
    throw new UserError(
      `The configuration: protocol is ${JSON.stringify(overrides)}; it must be an object.`,
    );
  const protocol = protocolOf(overrides as ProtocolOverrides);
  const merged = mergeSettings(base, search) as object;
  return validate(searchConfigSchema, { ...merged, protocol }, 'The configuration');
}

function presetNamed(name: string): Partial<SearchConfig> {
  if (Object.hasOwn(SEARCH_PRESETS, name)) return SEARCH_PRESETS[name] as Partial<SearchConfig>;
  const known = Object.keys(SEARCH_PRESETS).join(', ');
  throw new UserError(
    `There is no preset ${JSON.stringify(name)}; the presets are ${known}.${didYouMean(name, Object.keys(SEARCH_PRESETS))}`,
  );
}
