import { UserError } from '../errors.ts';
import type { DataContent, LabelledImages } from './data-file.ts';
import { type DatasetSource, datasetSource, type Fold, placeOf } from './data-sources.ts';
import type { ImageShape } from './network.ts';
import { randomStream, shuffle } from './random.ts';

/** Images (NHWC, normalised) and class indices, in shared memory: threads get them without copies. */
export interface Split {
  readonly images: Float32Array;
  readonly labels: Uint8Array;
  readonly count: number;
}

/** Plain data that can be posted to a thread. */
export interface Dataset {
  readonly name: string;
  /** Of the content of the files, whatever the pooling. */
  readonly hash: string;
  /** Side of the squares of pixels that were averaged into one. */
  readonly pool: number;
  /** Which images validate. */
  readonly fold: Fold;
  readonly image: ImageShape;
  readonly classes: number;
  /** Of the training pixels after pooling, in units of full brightness where they are bytes; values are (pixel − mean) / std. */
  readonly mean: number;
  readonly std: number;
  readonly train: Split;
  readonly validation: Split;
}

/** The shape of the images after pooling. Throws a UserError where `pool` does not divide height and width. */
export function pooledShape(image: ImageShape, pool: number): ImageShape {
  const { height, width, channels } = image;
  if (!Number.isInteger(pool) || pool < 1 || height % pool || width % pool)
    throw new UserError(
      `Images of ${height}×${width} cannot be pooled by ${pool}: it must divide both.`,
    );
  return { height: height / pool, width: width / pool, channels };
}

export interface LoadOptions {
  readonly pool?: number | undefined;
  /** What the data set must have. */
  readonly hash?: string | undefined;
  readonly fold?: Fold | undefined;
}

/** Throws a UserError for an unknown name, for a data set that is not here, and for missing or damaged files. */
export function checkDataset(name: string): void {
  const source = datasetSource(name);
  source.read(placeOf(source));
}

/** Reads a data set. Throws a UserError where that is not possible, in a sentence that says what would help. */
export function loadDataset(name: string, options: LoadOptions = {}): Dataset {
  const source = datasetSource(name);
  checkHash(source, options.hash);
  if (options.fold === 'test' && source.test === 0) throw withoutTest(name);
  return datasetOf(source, source.read(placeOf(source)), options);
}

function checkHash({ name, hash }: DatasetSource, wanted: string | undefined): void {
  if (wanted === undefined || wanted === hash) return;
  throw new UserError(
    `The data set ${name} has the hash ${hash} and not ${wanted}; scores on the two would not compare.`,
    1,
  );
}

/** The content of a data set, split and normalised. */
export function datasetOf(
  source: DatasetSource,
  { train: distributed, test }: DataContent,
  { pool = 1, fold = 0 }: LoadOptions = {},
): Dataset {
  const { name, hash, classes } = source;
  const image = pooledShape(source.image, pool);
  const split = stratifiedSplit(distributed.labels, source, fold === 'test' ? 0 : fold);
  const images = pooled(distributed, source.image, pool);
  const scale = scaleOf(images, image, split.train, name);
  const { mean, std } = scale;
  const normalised = (all: LabelledSums, ids: Uint32Array) => gather(all, image, ids, scale);
  return {
    ...{ name, hash, pool, fold, image, classes, mean, std },
    train: normalised(images, split.train),
    validation:
      fold === 'test'
        ? normalised(...allOf(name, test, source.image, pool))
        : normalised(images, split.validation),
  };
}

const withoutTest = (name: string): UserError =>
  new UserError(`The data set ${name} has no test images; take one that has.`);

function allOf(
  name: string,
  test: LabelledImages | null,
  image: ImageShape,
  pool: number,
): [LabelledSums, Uint32Array] {
  if (!test) throw withoutTest(name);
  return [pooled(test, image, pool), Uint32Array.from(test.labels, (_, i) => i)];
}

/** Images whose pixels were summed over squares, what such a sum is at full brightness, and labels. */
interface LabelledSums {
  readonly sums: Sums;
  readonly full: number;
  readonly labels: Uint8Array;
}

type Sums = Uint16Array | Float64Array;

const pooled = ({ pixels, labels }: LabelledImages, image: ImageShape, pool: number) => ({
  sums: poolSums(pixels, image, pool),
  full: (pixels instanceof Uint8Array ? 255 : 1) * pool * pool,
  labels,
});

/**
 * Which images train and which validate, drawn once: the same share of every class on both sides, in an
 * order that takes the classes in turn, so that where all are of one size the first n × classes images
 * hold n of each. A fold above 0 validates on a block of the images that usually train, and trains on all
 * others: nothing that was selected by the usual validation images was selected by these.
 */
export function stratifiedSplit(
  labels: Uint8Array,
  { classes, validation }: Pick<DatasetSource, 'classes' | 'validation'>,
  fold = 0,
): { train: Uint32Array; validation: Uint32Array } {
  const members = Array.from({ length: classes }, (): number[] => []);
  labels.forEach((label, id) => {
    members[label]!.push(id);
  });
  for (const [label, ids] of members.entries()) shuffle(ids, randomStream('split', label));
  const held = apportion(
    validation,
    members.map(({ length }) => length),
  );
  if (fold > 0) for (const [label, ids] of members.entries()) turnTo(fold, ids, held[label]!);
  return {
    train: inTurn(members.map((ids, label) => ids.slice(0, ids.length - held[label]!))),
    validation: inTurn(members.map((ids, label) => ids.slice(ids.length - held[label]!))),
  };
}

/** Puts the block of `size` ids with this number, from 1, behind all others. */
function turnTo(fold: number, ids: number[], size: number): void {
  // Where a class does not divide evenly, the last block begins within the one before it.
  const block = ids.splice(Math.min((fold - 1) * size, ids.length - 2 * size), size);
  ids.push(...block);
}

/** Shares of `total` in proportion to `sizes`, by largest remainders; of equal ones the first has precedence. */
function apportion(total: number, sizes: readonly number[]): number[] {
  const all = sizes.reduce((a, b) => a + b, 0);
  const exact = sizes.map((size) => (total * size) / all);
  const shares = exact.map(Math.floor);
  const left = total - shares.reduce((a, b) => a + b, 0);
  const byRemainder = [...sizes.keys()].sort(
    (a, b) => exact[b]! - shares[b]! - (exact[a]! - shares[a]!) || a - b,
  );
  for (const i of byRemainder.slice(0, left)) shares[i]! += 1;
  return shares;
}

/** One of each list, again and again; lists that are used up are passed over. */
function inTurn(lists: readonly (readonly number[])[]): Uint32Array {
  const longest = Math.max(...lists.map(({ length }) => length));
  const turns = Array.from({ length: longest }, (_, turn) =>
    lists.flatMap((ids) => (turn < ids.length ? [ids[turn]!] : [])),
  );
  return Uint32Array.from(turns.flat());
}

/** Sums of pool × pool squares of pixels, channels last. Those of bytes are exact. */
export function poolSums(pixels: LabelledImages['pixels'], image: ImageShape, pool: number): Sums {
  const { height, width, channels } = image;
  const pooled = { height: height / pool, width: width / pool };
  const count = pixels.length / (height * width * channels);
  const size = pixels.length / (pool * pool);
  const sums = pixels instanceof Uint8Array ? new Uint16Array(size) : new Float64Array(size);
  let i = 0;
  for (let n = 0; n < count; n++)
    for (let y = 0; y < height; y++) {
      const row = (n * pooled.height + Math.floor(y / pool)) * pooled.width;
      for (let to = row * channels; to < (row + pooled.width) * channels; to += channels)
        for (let x = 0; x < pool; x++)
          for (let c = 0; c < channels; c++) sums[to + c]! += pixels[i++]!;
    }
  return sums;
}

interface Scale {
  readonly mean: number;
  readonly std: number;
}

/** Mean and standard deviation over the given images, as shares of full brightness. Sums of bytes are exact. */
function scaleOf(
  { sums, full }: LabelledSums,
  image: ImageShape,
  ids: Uint32Array,
  name: string,
): Scale {
  const size = image.height * image.width * image.channels;
  let sum = 0;
  let squares = 0;
  for (const id of ids)
    for (let i = id * size; i < (id + 1) * size; i++) {
      const value = sums[i]!;
      sum += value;
      squares += value * value;
    }
  const count = ids.length * size;
  const mean = sum / count;
  const std = Math.sqrt(squares / count - mean * mean) / full;
  if (!(std > 0 && Number.isFinite(std)))
    throw new UserError(
      `The data set ${name} cannot be normalised: the standard deviation of its pixels is ${std}; it must be above 0.`,
      1,
    );
  return { mean: mean / full, std };
}

function gather(
  { sums, full, labels }: LabelledSums,
  image: ImageShape,
  ids: Uint32Array,
  { mean, std }: Scale,
): Split {
  const size = image.height * image.width * image.channels;
  const images = new Float32Array(new SharedArrayBuffer(4 * ids.length * size));
  const classes = new Uint8Array(new SharedArrayBuffer(ids.length));
  ids.forEach((id, n) => {
    for (let i = 0; i < size; i++)
      images[n * size + i] = (sums[id * size + i]! / full - mean) / std;
    classes[n] = labels[id]!;
  });
  return { images, labels: classes, count: ids.length };
}
