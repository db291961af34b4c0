import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { UserError } from '../errors.ts';
import { didYouMean } from '../suggest.ts';
import { readIdx } from './idx.ts';
import type { ImageShape } from './network.ts';
import { packageRoot } from './package-root.ts';
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
  readonly image: ImageShape;
  readonly classes: number;
  /** Of the training pixels, in units of full brightness, after pooling; values are (pixel − mean) / std. */
  readonly mean: number;
  readonly std: number;
  readonly train: Split;
  readonly validation: Split;
}

interface File {
  readonly name: string;
  /** SHA-256 of the decompressed content. */
  readonly sha256: string;
}

/** An embedded data set in two IDX files. Its split is part of it. */
export interface DatasetSource {
  readonly folder: string;
  readonly images: File;
  readonly labels: File;
  readonly image: ImageShape;
  readonly classes: number;
  readonly train: number;
  readonly validation: number;
}

export const DATASETS: Readonly<Record<string, DatasetSource>> = {
  'fashion-mnist': {
    folder: 'data/fashion-mnist',
    images: {
      name: 't10k-images-idx3-ubyte.gz',
      sha256: '5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b',
    },
    labels: {
      name: 't10k-labels-idx1-ubyte.gz',
      sha256: '0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34',
    },
    image: { height: 28, width: 28, channels: 1 },
    classes: 10,
    train: 8000,
    validation: 2000,
  },
};

/** Throws a UserError where there is no such data set. */
export function datasetSource(name: string): DatasetSource {
  if (Object.hasOwn(DATASETS, name)) return DATASETS[name]!;
  const known = Object.keys(DATASETS).join(', ');
  throw new UserError(
    `There is no data set ${JSON.stringify(name)}; the data sets are ${known}.${didYouMean(name, Object.keys(DATASETS))}`,
  );
}

export const datasetHash = (source: DatasetSource): string =>
  createHash('sha256')
    .update(`${source.images.sha256} ${source.labels.sha256}`)
    .digest('hex')
    .slice(0, 16);

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
  readonly pool?: number;
  /** Where the files lie; by default in the package. */
  readonly folder?: string;
}

/** Throws a UserError for an unknown name and for missing or damaged files. */
export function checkDataset(name: string): void {
  const { folder, images, labels } = datasetSource(name);
  for (const file of [images, labels]) readIdx(join(packageRoot(), folder, file.name), file.sha256);
}

/** Reads a data set. Throws a UserError for an unknown name and for missing or damaged files. */
export function loadDataset(name: string, options: LoadOptions = {}): Dataset {
  const source = datasetSource(name);
  const { pool = 1, folder = join(packageRoot(), source.folder) } = options;
  const image = pooledShape(source.image, pool);
  const pixels = readIdx(join(folder, source.images.name), source.images.sha256).values;
  const labels = readIdx(join(folder, source.labels.name), source.labels.sha256).values;
  const split = stratifiedSplit(labels, source);
  const sums = poolSums(pixels, source.image, pool);
  const { mean, std } = momentsOf(sums, image, split.train, 255 * pool * pool);
  const scale = { offset: mean, factor: std, full: 255 * pool * pool };
  return {
    name,
    hash: datasetHash(source),
    pool,
    image,
    classes: source.classes,
    mean,
    std,
    train: gather(sums, labels, image, split.train, scale),
    validation: gather(sums, labels, image, split.validation, scale),
  };
}

/**
 * Which images train and which validate, drawn once: the same share of every class on both sides, in an
 * order that takes the classes in turn, so that the first n × classes images hold n of each.
 */
export function stratifiedSplit(
  labels: Uint8Array,
  { classes, train, validation }: Pick<DatasetSource, 'classes' | 'train' | 'validation'>,
): { train: Uint32Array; validation: Uint32Array } {
  const members = Array.from({ length: classes }, (): number[] => []);
  labels.forEach((label, id) => {
    members[label]?.push(id);
  });
  for (const [label, ids] of members.entries()) shuffle(ids, randomStream('split', label));
  const inTurn = (from: number, count: number) =>
    Uint32Array.from({ length: count }, (_, i) => {
      const id = members[i % classes]?.[from + Math.floor(i / classes)];
      if (id === undefined) throw new Error(`internal: class ${i % classes} has too few images`);
      return id;
    });
  return { train: inTurn(0, train), validation: inTurn(train / classes, validation) };
}

/** Sums of pool × pool squares of pixels, channels last. */
export function poolSums(pixels: Uint8Array, image: ImageShape, pool: number): Uint16Array {
  const { height, width, channels } = image;
  const pooled = { height: height / pool, width: width / pool };
  const count = pixels.length / (height * width * channels);
  const sums = new Uint16Array(pixels.length / (pool * pool));
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

/** Mean and standard deviation over the given images, as shares of `full`. The sums are exact. */
function momentsOf(sums: Uint16Array, image: ImageShape, ids: Uint32Array, full: number) {
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
  return { mean: mean / full, std: Math.sqrt(squares / count - mean * mean) / full };
}

function gather(
  sums: Uint16Array,
  labels: Uint8Array,
  image: ImageShape,
  ids: Uint32Array,
  { offset, factor, full }: { offset: number; factor: number; full: number },
): Split {
  const size = image.height * image.width * image.channels;
  const images = new Float32Array(new SharedArrayBuffer(4 * ids.length * size));
  const classes = new Uint8Array(new SharedArrayBuffer(ids.length));
  ids.forEach((id, n) => {
    for (let i = 0; i < size; i++)
      images[n * size + i] = (sums[id * size + i]! / full - offset) / factor;
    classes[n] = labels[id]!;
  });
  return { images, labels: classes, count: ids.length };
}
