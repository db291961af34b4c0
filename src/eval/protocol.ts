import { createHash } from 'node:crypto';
import * as z from 'zod';
import { ANCHORS } from './anchors.ts';
import {
  DATASETS,
  type DatasetSource,
  datasetSource,
  foldsOf,
  isDataFile,
} from './data-sources.ts';
import { protocolNetworks, trainingNetworks } from './protocol-networks.ts';
import { SCHEDULES } from './schedule.ts';
import {
  oneOf,
  oneOfOr,
  positiveNumber,
  realNumber,
  settings,
  trueOrFalse,
  validate,
  wholeNumber,
} from './settings.ts';

const namesOf = (names: Iterable<string>) => [...names] as [string, ...string[]];

const protocolShape = settings({
  /** The arithmetic of the engine, `Engine.numerics`. */
  numerics: z.string('the numerics of an engine').min(1, 'the numerics of an engine'),
  dataset: settings({
    name: oneOfOr(namesOf(DATASETS.keys()), /\.npz$/, 'the path of an .npz file'),
    /** Of the data set's content. */
    hash: z.string('the hash of a data set'),
    /** Side of the squares of pixels that are averaged into one. */
    pool: wholeNumber(1, 14),
    /** Validation images that the final score is taken on, from the first. */
    validation: wholeNumber(1, 1_000_000),
    /** Validates on a block of the images that usually train, and trains on all others; or on test images. */
    fold: z
      .union([wholeNumber(1, 1000), z.literal('test')], 'test, or a whole number from 1 to 1,000')
      .optional(),
  }),
  /** Candidates are scored on each; they are tested in this order. */
  anchors: z
    .array(oneOf(namesOf(ANCHORS.keys())), 'a list of anchors')
    .min(1, 'a list of at least one anchor'),
  /** Every random number of an evaluation depends on it. */
  seed: wholeNumber(0, 2 ** 32 - 1),
  /** Images in a training batch. */
  batch: wholeNumber(1, 10_000),
  steps: wholeNumber(1, 1_000_000),
  /** SGD with Nesterov momentum; the decay is that of convolution and dense weights. */
  optimiser: settings({
    learningRate: positiveNumber(100),
    momentum: realNumber(0, 0.9999),
    weightDecay: realNumber(0, 1),
  }),
  schedule: oneOf(SCHEDULES),
  augmentation: settings({
    /** Pixels of padding before an image is cut out at random. */
    pad: wholeNumber(0, 16),
    /** Side of the square that is cut out for training; an image of the old size where nothing is said. */
    crop: wholeNumber(1, 512).optional(),
    /** Mirrors every second image. */
    flip: trueOrFalse(),
  }),
  /** Of `whc/g`; a layer uses the largest divisor of its channels that is ≤ this. */
  groups: wholeNumber(1, 1024),
  /** Of the moving statistics that replace batch moments at inference. */
  movingDecay: realNumber(0, 0.9999),
  /** Candidates below an anchor's accuracy after the first steps are rejected. */
  quality: settings({
    /** 0 switches the test off. */
    steps: wholeNumber(0, 1_000_000),
    /** Validation images that the test looks at, from the first. */
    images: wholeNumber(1, 1_000_000),
    /** By anchor. */
    minAccuracy: z.record(
      z.string(),
      realNumber(0, 1),
      'an object with a number from 0 to 1 for each anchor',
    ),
  }),
  /**
   * Candidates are rejected whose gradients grow too large where the weights are moved for that; see
   * stability.ts for what its numbers measure. Without it there is no such test.
   */
  stability: settings({
    /** Of the ascent, at most. */
    steps: wholeNumber(1, 10_000),
    /** Of the gradient's norm. */
    threshold: positiveNumber(1e30),
    /** How far a step moves the weights, in their own length. */
    learningRate: positiveNumber(10),
    /** How far from the weights gradients are compared, in the same measure. */
    difference: positiveNumber(0.1),
    /** In the batch that gradients are taken on. */
    images: wholeNumber(1, 10_000),
    /** It is made on these of the anchors. */
    anchors: z
      .array(oneOf(namesOf(ANCHORS.keys())), 'a list of anchors')
      .min(1, 'a list of at least one anchor'),
  }).optional(),
  /** Safety net: seconds after which the evaluation of a candidate is given up. */
  timeout: positiveNumber(1_000_000),
});

/** Everything that changes a score. Plain JSON; scores are comparable only inside one protocol. */
export type Protocol = z.output<typeof protocolShape>;

export const protocolSchema = protocolShape.superRefine((protocol, context) => {
  for (const [path, message] of contradictions(protocol))
    context.addIssue({ code: 'custom', path: [...path], message });
});

/** Settings that are right alone and wrong together: the path of one and what would be right. */
function* contradictionsOfSplit(
  { name, validation, fold }: Protocol['dataset'],
  source: DatasetSource,
): Generator<readonly [readonly string[], string]> {
  const images = fold === 'test' ? source.test : source.validation;
  if (fold === 'test' && images === 0)
    yield [['dataset', 'fold'], `a whole number, for ${name} has no test images`];
  else if (validation > images)
    yield [['dataset', 'validation'], `at most ${images}, all there are`];
  if (typeof fold === 'number' && fold > foldsOf(source))
    yield [['dataset', 'fold'], `at most ${foldsOf(source)}, all that ${name} has`];
}

function* contradictions(protocol: Protocol): Generator<readonly [readonly string[], string]> {
  const { dataset, anchors, quality, steps, augmentation } = protocol;
  const source = datasetSource(dataset.name);
  const { height, width } = source.image;
  if (height % dataset.pool || width % dataset.pool)
    yield [['dataset', 'pool'], `a divisor of the images' sides, ${height} and ${width}`];
  if (dataset.hash !== source.hash)
    yield [['dataset', 'hash'], `${source.hash}, the hash of ${dataset.name}`];
  yield* contradictionsOfSplit(dataset, source);
  const side = Math.min(height, width) / dataset.pool + 2 * augmentation.pad;
  if (augmentation.crop !== undefined && augmentation.crop > side)
    yield [['augmentation', 'crop'], `at most ${Math.floor(side)}, the side of the padded images`];
  if (new Set(anchors).size < anchors.length) yield [['anchors'], 'a list without repetitions'];
  if (quality.steps > steps) yield [['quality', 'steps'], `at most the protocol's steps, ${steps}`];
  if (quality.images > dataset.validation)
    yield [['quality', 'images'], `at most dataset.validation, ${dataset.validation}`];
  if (!sameNames(Object.keys(quality.minAccuracy), anchors))
    yield [['quality', 'minAccuracy'], `an object with the keys ${anchors.join(', ')}`];
  const tested = protocol.stability?.anchors ?? [];
  if (new Set(tested).size < tested.length || !tested.every((name) => anchors.includes(name)))
    yield [['stability', 'anchors'], `a list without repetitions of ${anchors.join(', ')}`];
}

const sameNames = (a: readonly string[], b: readonly string[]) =>
  a.length === b.length && a.every((name) => b.includes(name));

/** A protocol from untrusted JSON, or a UserError that names the setting. */
export const parseProtocol = (json: unknown): Protocol =>
  validate(protocolSchema, json, 'The protocol');

/** Changes whenever the code gives another meaning to the same settings: initial weights, batches, split, order of work. */
const MEANING = 1;

/** A protocol without the place of a data file, whose hash says what it is. */
export function withoutPlace(protocol: Protocol): Protocol {
  const { dataset } = protocol;
  if (!isDataFile(dataset.name)) return protocol;
  return { ...protocol, dataset: { ...dataset, name: 'npz' } };
}

/** Names a protocol by its content, and by the operations of its networks. */
export function protocolKey(protocol: Protocol): string {
  const networks = protocolNetworks(protocol);
  // Where whole images train, keys are what they were before there were crops.
  const training = protocol.augmentation.crop !== undefined && trainingNetworks(protocol);
  const content = canonicalJson({
    ...{ meaning: MEANING, protocol: withoutPlace(protocol), networks },
    ...(training && { training }),
  });
  return createHash('sha256').update(content).digest('hex').slice(0, 16);
}

/** JSON with sorted keys. Validated settings hold no number that JSON would drop. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

/**
 * The seed of one evaluation: candidates that compute the same function get the same, and `repeat`
 * counts the evaluations of that function. An audit, which counts nowhere, has a name in its place.
 */
export const evaluationSeed = (
  protocol: Protocol,
  functionalKey: string,
  repeat: number | `audit/${number}`,
): string => `${protocol.seed}/${functionalKey}/${repeat}`;
