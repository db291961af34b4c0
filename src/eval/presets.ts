import { resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { didYouMean } from '../suggest.ts';
import { DATASETS, type DatasetSource, datasetSource, isDataFile } from './data-sources.ts';
import { type Protocol, parseProtocol } from './protocol.ts';
import { isRecord, mergeSettings, type Overrides } from './settings.ts';
import { STABILITY } from './stability.ts';

/** What a preset fixes; the rest follows from the engine and the data set. */
type Preset = Omit<Protocol, 'numerics' | 'dataset'> & {
  readonly dataset: Omit<Protocol['dataset'], 'hash'>;
};

/**
 * The proxy task of EvoNorm (Liu et al. 2020): crops of 24×24 train, whole images validate. Its learning rate,
 * momentum and weight decay are the usual ones, where the paper names none. EvoNorm-B0 does not stand this rate
 * from the first step in the ResNet, here or in PyTorch: docs/studies/paper-scale.
 */
const PAPER: Omit<Preset, 'steps' | 'schedule'> = {
  dataset: { name: 'cifar10', pool: 1, validation: 5000 },
  anchors: ['resnet50-quarter', 'mobilenetv2-half', 'efficientnet-b0-half'],
  seed: 0,
  batch: 128,
  optimiser: { learningRate: 0.1, momentum: 0.9, weightDecay: 1e-4 },
  augmentation: { pad: 0, crop: 24, flip: true },
  groups: 32,
  movingDecay: 0.9,
  quality: {
    steps: 100,
    images: 5000,
    minAccuracy: { 'resnet50-quarter': 0.2, 'mobilenetv2-half': 0.2, 'efficientnet-b0-half': 0.2 },
  },
  // The paper's is on a ResNet too.
  stability: { ...STABILITY, anchors: ['resnet50-quarter'] },
  timeout: 100_000,
};

/** What the presets have in common that train small networks on small images. */
const MINI = {
  seed: 0,
  optimiser: PAPER.optimiser,
  schedule: 'cosine',
  augmentation: { pad: 1, flip: true },
  groups: 8,
  movingDecay: 0.9,
} as const;

export const PRESETS: Readonly<Record<string, Preset>> = {
  /** A whole search in two minutes: about a second of one core per candidate that is trained to the end. */
  quick: {
    dataset: { name: 'fashion-mnist', pool: 2, validation: 2000 },
    anchors: ['mini-wide', 'mini-deep'],
    ...MINI,
    batch: 32,
    steps: 300,
    quality: {
      steps: 100,
      images: 500,
      // What known layers clear by far. Those of other minis hold where they are the anchors.
      minAccuracy: {
        'mini-wide': 0.35,
        'mini-deep': 0.45,
        'mini-mobile': 0.4,
        'mini-efficient': 0.4,
      },
    },
    timeout: 60,
  },
  /** For hours on a workstation: a network of each family, more images and more steps than `quick`. */
  standard: {
    dataset: { name: 'fashion-mnist-full', pool: 2, validation: 10_000 },
    anchors: ['mini-deep', 'mini-mobile', 'mini-efficient'],
    ...MINI,
    batch: 64,
    steps: 800,
    quality: {
      steps: 100,
      images: 2000,
      minAccuracy: { 'mini-deep': 0.45, 'mini-mobile': 0.45, 'mini-efficient': 0.45 },
    },
    stability: { ...STABILITY, anchors: ['mini-deep'] },
    timeout: 600,
  },
  'paper-b': { ...PAPER, steps: 2000, schedule: 'constant' },
  'paper-s': { ...PAPER, steps: 5000, schedule: 'cosine' },
};

/**
 * Settings in place of a preset's. `quality.minAccuracy` may be one number for all anchors. `stability` may be
 * false for no test; `{}` makes one as it usually is.
 */
export type ProtocolOverrides = Omit<Overrides<Protocol>, 'quality' | 'stability'> & {
  readonly stability?: false | Overrides<NonNullable<Protocol['stability']>>;
  readonly quality?: Omit<Overrides<Protocol['quality']>, 'minAccuracy'> & {
    readonly minAccuracy?: number | Readonly<Record<string, number>>;
  };
};

/**
 * The preset's protocol on an engine of the given numerics, with overrides from a file or from flags
 * (not validated before). Throws a UserError that names the first wrong setting.
 */
export function resolveProtocol(
  preset: string,
  overrides: ProtocolOverrides,
  numerics: string,
): Protocol {
  return overrideProtocol({ numerics, ...presetNamed(preset) }, overrides);
}

/** A protocol with overrides in place of some of its settings. Throws a UserError that names the first wrong one. */
export function overrideProtocol(
  protocol: Protocol | (Preset & { readonly numerics: string }),
  overrides: ProtocolOverrides,
): Protocol {
  const merged = mergeSettings(protocol, overrides);
  const data = isRecord(merged) && isRecord(merged.dataset) ? merged.dataset.name : undefined;
  const sameData = whole(data) === whole(protocol.dataset.name);
  return parseProtocol(isRecord(merged) ? complete(merged, overrides, sameData) : merged);
}

function presetNamed(name: string): Preset {
  if (Object.hasOwn(PRESETS, name)) return PRESETS[name]!;
  const known = Object.keys(PRESETS).join(', ');
  throw new UserError(
    `There is no preset ${JSON.stringify(name)}; the presets are ${known}.${didYouMean(name, Object.keys(PRESETS))}`,
  );
}

/**
 * Fits what the overrides leave open to what they say: what follows from the data set, and the quality test.
 * The draft may hold anything anywhere; what does not fit is left for the validation to name.
 */
function complete(
  draft: Record<string, unknown>,
  overrides: ProtocolOverrides,
  sameData: boolean,
): unknown {
  const { quality, anchors, steps, stability, ...rest } = draft;
  const source = isRecord(draft.dataset) ? sourceNamed(draft.dataset.name) : undefined;
  const dataset = completeDataset(draft.dataset, source, overrides, sameData);
  return {
    ...{ ...rest, dataset, anchors, steps },
    ...(stability !== undefined &&
      stability !== false && { stability: completeStability(stability, anchors, overrides) }),
    quality: isRecord(quality)
      ? {
          ...quality,
          steps: overrides.quality?.steps ?? smaller(quality.steps, steps),
          images:
            overrides.quality?.images ??
            smaller(quality.images, isRecord(dataset) && dataset.validation),
          minAccuracy: thresholds(quality.minAccuracy, anchors, overrides, {
            // Those that a preset knows were found on its own data.
            known: sameData && isRecord(quality.minAccuracy) ? quality.minAccuracy : {},
            classes: source?.classes ?? 10,
          }),
        }
      : quality,
  };
}

/** Fits the anchors of the test to those that there are: it is made on the first one, unless told. */
function completeStability(
  draft: unknown,
  anchors: unknown,
  { stability: given }: ProtocolOverrides,
): unknown {
  if (!isRecord(draft) || !Array.isArray(anchors)) return draft;
  const own = given === false ? undefined : given?.anchors;
  const usual = Array.isArray(draft.anchors) ? draft.anchors : [];
  const left = anchors.filter((name) => usual.includes(name));
  return { ...STABILITY, ...draft, anchors: own ?? (left.length > 0 ? left : anchors.slice(0, 1)) };
}

const sourceNamed = (name: unknown): DatasetSource | undefined =>
  typeof name === 'string' && (DATASETS.has(name) || isDataFile(name))
    ? datasetSource(name)
    : undefined;

/** The name of a data set; files are named so that they are found from everywhere. */
const whole = (name: unknown): unknown =>
  typeof name === 'string' && isDataFile(name) ? resolve(name) : name;

function completeDataset(
  draft: unknown,
  source: DatasetSource | undefined,
  { dataset: overrides }: ProtocolOverrides,
  sameData: boolean,
): unknown {
  if (!isRecord(draft) || !source) return draft;
  return {
    ...draft,
    name: whole(source.name),
    hash: overrides?.hash ?? (sameData ? (draft.hash ?? source.hash) : source.hash),
    validation:
      overrides?.validation ??
      smaller(draft.validation, draft.fold === 'test' ? source.test : source.validation),
  };
}

const smaller = (value: unknown, limit: unknown) =>
  typeof value === 'number' && typeof limit === 'number' ? Math.min(value, limit) : value;

/** Twice the accuracy of guessing, or a quarter of the way from it to certainty where classes are few. */
const betterThanGuessing = (classes: number): number =>
  Math.min(2 / classes, (1 + 3 / classes) / 4);

/** One threshold for each anchor, where none is known one that is better than guessing. */
function thresholds(
  given: unknown,
  anchors: unknown,
  overrides: ProtocolOverrides,
  { known, classes }: { known: Readonly<Record<string, unknown>>; classes: number },
): unknown {
  if (!Array.isArray(anchors)) return given;
  const fallback = isRecord(given) ? betterThanGuessing(classes) : given;
  const wanted = overrides.quality?.minAccuracy;
  return {
    ...Object.fromEntries(anchors.map((name) => [name, known[name] ?? fallback])),
    // Those for other anchors stay in, so that the validation finds a misspelt name.
    ...(isRecord(wanted) ? wanted : {}),
  };
}

/** A flag of a command, the setting that it overrides, and how its text is read. */
export interface Flag {
  /** As commander takes it. */
  readonly flag: string;
  /** The setting, or a setting inside of a group of them. */
  readonly path: readonly [string, string?];
  readonly kind: 'number' | 'text' | 'list' | 'switch' | 'on or off' | 'duration';
  readonly doc: string;
}

export const flag = (
  flag: string,
  path: Flag['path'],
  doc: string,
  kind: Flag['kind'] = 'number',
): Flag => ({ flag, path, kind, doc });

/** By the names under which commander stores their values. */
export const PROTOCOL_FLAGS = {
  dataset: flag('--dataset <name>', ['dataset', 'name'], 'data set, or an .npz file', 'text'),
  pool: flag('--pool <n>', ['dataset', 'pool'], 'average n × n pixels into one'),
  validation: flag('--validation <n>', ['dataset', 'validation'], 'validation images'),
  fold: flag(
    '--fold <n>',
    ['dataset', 'fold'],
    'validate on another block of the images, or on test',
  ),
  anchor: flag('--anchor <name...>', ['anchors'], 'networks to score in', 'list'),
  steps: flag('--steps <n>', ['steps'], 'training steps'),
  batch: flag('--batch <n>', ['batch'], 'images per training step'),
  learningRate: flag('--learning-rate <x>', ['optimiser', 'learningRate'], 'learning rate'),
  momentum: flag('--momentum <x>', ['optimiser', 'momentum'], 'Nesterov momentum'),
  weightDecay: flag('--weight-decay <x>', ['optimiser', 'weightDecay'], 'weight decay'),
  schedule: flag('--schedule <name>', ['schedule'], 'constant or cosine', 'text'),
  pad: flag('--pad <n>', ['augmentation', 'pad'], 'padding before random crops, in pixels'),
  crop: flag('--crop <n>', ['augmentation', 'crop'], 'side of the crops that train, in pixels'),
  flip: flag('--flip', ['augmentation', 'flip'], 'mirror images at random', 'switch'),
  groups: flag('--groups <n>', ['groups'], 'channel groups of whc/g'),
  movingDecay: flag('--moving-decay <x>', ['movingDecay'], 'decay of moving statistics'),
  qualitySteps: flag('--quality-steps <n>', ['quality', 'steps'], 'steps before the quality test'),
  qualityImages: flag('--quality-images <n>', ['quality', 'images'], 'images of the quality test'),
  minAccuracy: flag('--min-accuracy <x>', ['quality', 'minAccuracy'], 'what the quality test asks'),
  stabilitySteps: flag(
    '--stability-steps <n>',
    ['stability', 'steps'],
    'steps of ascent of the stability test',
  ),
  stabilityThreshold: flag(
    '--stability-threshold <x>',
    ['stability', 'threshold'],
    'gradient norm above which a layer is unstable',
  ),
  stabilityRate: flag(
    '--stability-rate <x>',
    ['stability', 'learningRate'],
    'length of a step of ascent, in that of the weights',
  ),
  stabilityDifference: flag(
    '--stability-difference <x>',
    ['stability', 'difference'],
    'how far apart gradients are compared, in the same measure',
  ),
  stabilityImages: flag(
    '--stability-images <n>',
    ['stability', 'images'],
    'images of the stability test',
  ),
  stabilityAnchor: flag(
    '--stability-anchor <name...>',
    ['stability', 'anchors'],
    'networks of the stability test',
    'list',
  ),
  stability: flag('--stability', ['stability'], 'make the stability test', 'on or off'),
  timeout: flag('--timeout <seconds>', ['timeout'], 'give a candidate up after this long'),
} as const satisfies Record<string, Flag>;

/** What flags given on a command line override; other keys of `values` are left alone. */
export function overridesFromFlags(
  values: Readonly<Record<string, unknown>>,
  flags: Readonly<Record<string, Flag>> = PROTOCOL_FLAGS,
): ProtocolOverrides & Readonly<Record<string, unknown>> {
  let overrides: unknown = {};
  for (const [name, { path, kind }] of Object.entries(flags)) {
    if (values[name] === undefined) continue;
    const value = READ[kind](values[name]);
    const [outer, inner] = path;
    overrides = mergeSettings(overrides, { [outer]: inner ? { [inner]: value } : value });
  }
  return overrides as ReturnType<typeof overridesFromFlags>;
}

/** Text that is not what it should be stays as it is, for the validation to name it. */
const READ: Record<Flag['kind'], (value: unknown) => unknown> = {
  number: (value) =>
    typeof value === 'string' && value.trim() && !Number.isNaN(Number(value))
      ? Number(value)
      : value,
  text: (value) => value,
  list: (value) =>
    (Array.isArray(value) ? value : [value])
      .flatMap((name) => String(name).split(','))
      .filter((name) => name !== ''),
  switch: (value) => value,
  // A group of settings: what they are is said elsewhere.
  'on or off': (value) => (value === true ? {} : value),
  duration: (value) => {
    const [, amount, unit] = /^\s*(\d+(?:\.\d+)?)\s*([smhd])\s*$/.exec(String(value)) ?? [];
    return unit === undefined ? value : Number(amount) * SECONDS[unit as keyof typeof SECONDS];
  },
};

const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;
