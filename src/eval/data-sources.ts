/*
 * The data sets: what they hold, where their files are kept or come from, and how these are read. A path of
 * an .npz file is a data set too.
 */
import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { didYouMean } from '../suggest.ts';
import { readCifar } from './cifar.ts';
import type { DataContent } from './data-file.ts';
import { dataFolder } from './data-folder.ts';
import { readIdxPair } from './idx.ts';
import type { ImageShape } from './network.ts';
import { type NpzData, readNpz } from './npz.ts';
import { packageRoot } from './package-root.ts';

/** A file as it is distributed. */
export interface DataFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** Where the files of a data set lie. */
export interface DataPlace {
  readonly kind: 'package' | 'cache' | 'system' | 'file';
  /** A folder; the file itself for an .npz. */
  readonly path: string;
  /** What can be done about a file that is no good: the end of a sentence. */
  readonly remedy: string;
}

export interface DatasetSource {
  readonly name: string;
  readonly doc: string;
  /** Of the content of all files. */
  readonly hash: string;
  readonly image: ImageShape;
  readonly classes: number;
  /** Training images, those to validate on, which are held out of the distributed training images, and test images. */
  readonly train: number;
  readonly validation: number;
  readonly test: number;
  /** What `data fetch` gets, and folders of the net that serve it. Empty where there is nothing to get. */
  readonly files: readonly DataFile[];
  readonly urls: readonly string[];
  /** Null where the data set is not here. */
  readonly place: () => DataPlace | null;
  /** Throws a UserError where a file is missing, damaged, or another one. */
  readonly read: (place: DataPlace) => DataContent;
}

/**
 * Which images validate: none or 0 for the usual ones, a number from 1 for a block of those that usually
 * train, `test` for the test images, with which nothing else is done.
 */
export type Fold = number | 'test';

/** How many blocks as large as the validation images there are among those that usually train. */
export const foldsOf = ({ train, validation }: Pick<DatasetSource, 'train' | 'validation'>) =>
  Math.floor(train / validation);

const hashOf = (sums: readonly string[]): string =>
  createHash('sha256').update(sums.join(' ')).digest('hex').slice(0, 16);

const again = (name: string) => `fetch it again with \`evolayer data fetch ${name}\``;

const cachePlace = (name: string): DataPlace => ({
  kind: 'cache',
  path: join(dataFolder(), name),
  remedy: again(name),
});

interface IdxFileSource extends DataFile {
  /** SHA-256 of the decompressed content, whoever compressed it. */
  readonly content: string;
}

interface IdxSet {
  readonly name: string;
  readonly doc: string;
  readonly validation: number;
  /** Images and labels of 60,000 training images, then of 10,000 test images. */
  readonly files: readonly [IdxFileSource, IdxFileSource, IdxFileSource, IdxFileSource];
  readonly urls: readonly string[];
  /** Of a system's package. */
  readonly system?: { readonly path: string; readonly remedy: string };
}

const GREY = { height: 28, width: 28, channels: 1 };

/** A file may be gzipped or plain. */
function fileIn(folder: string, name: string): string | undefined {
  const plain = name.replace(/\.gz$/, '');
  return [name, plain].map((file) => join(folder, file)).find((path) => existsSync(path));
}

const hasAll = (folder: string, files: readonly DataFile[]): boolean =>
  files.every(({ name }) => fileIn(folder, name) !== undefined);

function idxPairIn({ path, remedy }: DataPlace, pair: readonly IdxFileSource[], count: number) {
  const [images, labels] = pair.map(({ name, content }) => ({
    ...{ path: fileIn(path, name) ?? join(path, name), remedy, content },
  }));
  return readIdxPair(images!, labels!, { count, ...GREY, classes: 10 });
}

function idxSet({ name, doc, validation, files, urls, system }: IdxSet): DatasetSource {
  return {
    ...{ name, doc, hash: hashOf(files.map(({ content }) => content)) },
    ...{ image: GREY, classes: 10, train: 60_000 - validation, validation, test: 10_000 },
    ...{ files, urls },
    place: () => {
      const cached = cachePlace(name);
      if (hasAll(cached.path, files)) return cached;
      return system && hasAll(system.path, files) ? { kind: 'system', ...system } : null;
    },
    read: (place) => ({
      train: idxPairIn(place, files.slice(0, 2), 60_000),
      test: idxPairIn(place, files.slice(2), 10_000),
    }),
  };
}

interface CifarSet {
  readonly name: string;
  readonly doc: string;
  readonly classes: number;
  readonly labelBytes: 1 | 2;
  readonly archive: DataFile;
  readonly train: readonly string[];
  readonly test: readonly string[];
}

function cifarSet({ name, doc, classes, labelBytes, archive, train, test }: CifarSet) {
  const imagesPerFile = { train: 50_000 / train.length, test: 10_000 };
  return {
    ...{ name, doc, hash: hashOf([archive.sha256]) },
    ...{ image: { height: 32, width: 32, channels: 3 }, classes },
    ...{ train: 45_000, validation: 5000, test: 10_000 },
    files: [archive],
    urls: ['https://www.cs.toronto.edu/~kriz'],
    place: () => {
      const place = cachePlace(name);
      return existsSync(join(place.path, archive.name)) ? place : null;
    },
    read: ({ path, remedy }: DataPlace) =>
      readCifar({
        ...{ path: join(path, archive.name), remedy, sha256: archive.sha256 },
        ...{ classes, labelBytes, train, test, imagesPerFile },
      }),
  } satisfies DatasetSource;
}

const TEST_IMAGES = {
  name: 't10k-images-idx3-ubyte.gz',
  bytes: 4_422_102,
  sha256: '346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073',
  content: '5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b',
};
const TEST_LABELS = {
  name: 't10k-labels-idx1-ubyte.gz',
  bytes: 5148,
  sha256: '67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5',
  content: '0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34',
};

/** The test images of Fashion-MNIST, of which 8,000 train. */
const EMBEDDED: DatasetSource = {
  name: 'fashion-mnist',
  doc: 'clothes: the 10,000 test images of Fashion-MNIST, in the package',
  hash: hashOf([TEST_IMAGES.content, TEST_LABELS.content]),
  ...{ image: GREY, classes: 10, train: 8000, validation: 2000, test: 0 },
  ...{ files: [], urls: [] },
  place: () => ({
    kind: 'package',
    path: join(packageRoot(), 'data/fashion-mnist'),
    remedy: 'restore it from the package or the repository',
  }),
  read: (place) => ({ train: idxPairIn(place, [TEST_IMAGES, TEST_LABELS], 10_000), test: null }),
};

/*
 * Sizes and SHA-256 of downloads: TensorFlow Datasets, tensorflow_datasets/url_checksums/{fashion_mnist,
 * mnist,cifar10,cifar100}.txt. The SHA-256 of Fashion-MNIST's decompressed files are those of Debian's
 * dataset-fashion-mnist 0.0~git20200523.55506a9-1, which compresses them on its own; those of MNIST are
 * published in several projects that check them, such as gomlx. The MD5 of the CIFAR archives on their
 * home page (c32a1d4ab5d03f1284b67883e8d87530 and 03b5dce01913d631647c71ecec9e9cb8) are of the same files.
 */
const SOURCES: readonly DatasetSource[] = [
  EMBEDDED,
  idxSet({
    name: 'fashion-mnist-full',
    doc: 'clothes: all 70,000 images of Fashion-MNIST',
    validation: 10_000,
    files: [
      {
        name: 'train-images-idx3-ubyte.gz',
        bytes: 26_421_880,
        sha256: '3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84',
        content: 'c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888',
      },
      {
        name: 'train-labels-idx1-ubyte.gz',
        bytes: 29_515,
        sha256: 'a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845',
        content: 'bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9',
      },
      TEST_IMAGES,
      TEST_LABELS,
    ],
    urls: ['http://fashion-mnist.s3-website.eu-central-1.amazonaws.com'],
    system: {
      path: '/usr/share/datasets/fashion-mnist',
      remedy: 'install the package dataset-fashion-mnist again',
    },
  }),
  idxSet({
    name: 'mnist',
    doc: 'handwritten digits',
    validation: 10_000,
    files: [
      {
        name: 'train-images-idx3-ubyte.gz',
        bytes: 9_912_422,
        sha256: '440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609',
        content: 'ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db',
      },
      {
        name: 'train-labels-idx1-ubyte.gz',
        bytes: 28_881,
        sha256: '3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c',
        content: '65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5',
      },
      {
        name: 't10k-images-idx3-ubyte.gz',
        bytes: 1_648_877,
        sha256: '8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6',
        content: '0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7',
      },
      {
        name: 't10k-labels-idx1-ubyte.gz',
        bytes: 4542,
        sha256: 'f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6',
        content: 'ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2',
      },
    ],
    // Its home page no longer serves the files; these are the copies that TensorFlow Datasets and torchvision take.
    urls: [
      'https://storage.googleapis.com/cvdf-datasets/mnist',
      'https://ossci-datasets.s3.amazonaws.com/mnist',
    ],
  }),
  cifarSet({
    name: 'cifar10',
    doc: 'small colour photographs: animals and vehicles',
    classes: 10,
    labelBytes: 1,
    archive: {
      name: 'cifar-10-binary.tar.gz',
      bytes: 170_052_171,
      sha256: 'c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd',
    },
    train: [1, 2, 3, 4, 5].map((n) => `data_batch_${n}.bin`),
    test: ['test_batch.bin'],
  }),
  cifarSet({
    name: 'cifar100',
    doc: 'small colour photographs of 100 kinds of things',
    classes: 100,
    labelBytes: 2,
    archive: {
      name: 'cifar-100-binary.tar.gz',
      bytes: 168_513_733,
      sha256: '58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec',
    },
    train: ['train.bin'],
    test: ['test.bin'],
  }),
];

export const DATASETS: ReadonlyMap<string, DatasetSource> = new Map(
  SOURCES.map((source) => [source.name, source]),
);

/** True for the path of a file that is a data set. */
export const isDataFile = (name: string): boolean => name.endsWith('.npz');

/** Throws a UserError where there is no such data set, and where a file is none. */
export function datasetSource(name: string): DatasetSource {
  const known = DATASETS.get(name);
  if (known) return known;
  if (isDataFile(name)) return fileSource(name);
  const names = [...DATASETS.keys()];
  throw new UserError(
    `There is no data set ${JSON.stringify(name)}; the data sets are ${names.join(', ')}, and every .npz file is one.${didYouMean(name, names)}`,
  );
}

/** The share of a file's training images that validates. */
const HELD_OUT = 1 / 6;

const described = new Map<string, { readonly stamp: string; readonly source: DatasetSource }>();

/** What a file holds; it is read again where it has changed. */
function fileSource(name: string): DatasetSource {
  const path = resolve(name);
  const stat = statSync(path, { throwIfNoEntry: false });
  const stamp = `${stat?.size} ${stat?.mtimeMs} ${stat?.ino}`;
  const known = described.get(name);
  if (known?.stamp === stamp) return known.source;
  const source = sourceOf(name, path, readNpz(path));
  described.set(name, { stamp, source });
  return source;
}

function sourceOf(name: string, path: string, { hash, image, classes, train, test }: NpzData) {
  const count = train.labels.length;
  const validation = Math.max(1, Math.round(count * HELD_OUT));
  return {
    ...{ name, doc: basename(path), hash, image, classes },
    ...{ train: count - validation, validation, test: test?.labels.length ?? 0 },
    ...{ files: [], urls: [] },
    place: () => ({ kind: 'file', path, remedy: 'restore it' }),
    read: () => checked(readNpz(path), path, hash),
  } satisfies DatasetSource;
}

/** Throws a UserError where the file has become another one since it was described. */
function checked(data: NpzData, path: string, hash: string): DataContent {
  if (data.hash === hash) return data;
  throw new UserError(
    `The data file ${path} has changed while it was in use: its hash was ${hash} and is ${data.hash}; begin again with the one that is meant.`,
    1,
  );
}

/** Where the data set is. Throws a UserError that says how to get it where it is not here. */
export function placeOf({ name, place }: DatasetSource): DataPlace {
  const found = place();
  if (found) return found;
  throw new UserError(
    `The data set ${name} is not here; fetch it with \`evolayer data fetch ${name}\`.`,
    1,
  );
}
