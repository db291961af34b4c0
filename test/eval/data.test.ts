import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import {
  datasetOf,
  loadDataset,
  poolSums,
  type Split,
  stratifiedSplit,
} from '../../src/eval/data.ts';
import { sha256 } from '../../src/eval/data-file.ts';
import { datasetSource } from '../../src/eval/data-sources.ts';
import { parseIdx, readIdx, readIdxPair } from '../../src/eval/idx.ts';
import { complaintOf, folderWith, idx } from './data-files.ts';

const pooled = loadDataset('fashion-mnist', { pool: 2 });
const full = loadDataset('fashion-mnist');

const source = new URL('../../data/fashion-mnist/', import.meta.url);
const IMAGES = 't10k-images-idx3-ubyte.gz';
const LABELS = 't10k-labels-idx1-ubyte.gz';
const folders: string[] = [];

/** A folder with the two files, as `change` wants them; a file it makes `null` is missing. */
function embeddedWith(change: (name: string, bytes: Buffer) => Uint8Array | null): string {
  const folder = mkdtempSync(join(tmpdir(), 'evolayer-data-'));
  folders.push(folder);
  for (const name of [IMAGES, LABELS]) {
    const bytes = change(name, readFileSync(new URL(name, source)));
    if (bytes) writeFileSync(join(folder, name), bytes);
  }
  return folder;
}

/** The embedded data set from another folder. */
function loadFrom(path: string) {
  const embedded = datasetSource('fashion-mnist');
  return datasetOf(embedded, embedded.read({ ...embedded.place()!, path }), { pool: 2 });
}

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

const counts = ({ labels }: Split) =>
  Array.from({ length: 10 }, (_, c) => labels.filter((label) => label === c).length);

const digest = ({ images, labels }: Split) =>
  createHash('sha256')
    .update(new Uint8Array(images.buffer))
    .update(labels)
    .digest('hex')
    .slice(0, 16);

describe('Fashion-MNIST', () => {
  test('has 8,000 images to train and 2,000 to validate, alike in every class', () => {
    expect([pooled.train.count, pooled.validation.count]).toEqual([8000, 2000]);
    expect(counts(pooled.train)).toEqual(new Array(10).fill(800));
    expect(counts(pooled.validation)).toEqual(new Array(10).fill(200));
  });

  test('has a split and values that never change', () => {
    const pins = [pooled, full].map(({ hash, train, validation, mean, std }) => ({
      hash,
      train: digest(train),
      validation: digest(validation),
      mean,
      std,
    }));
    expect(pins).toMatchInlineSnapshot(`
      [
        {
          "hash": "cfe4038a9afeee80",
          "mean": 0.2884274259703881,
          "std": 0.330130201328678,
          "train": "54fed478b8364b18",
          "validation": "2fe8b6bf1e29e17b",
        },
        {
          "hash": "cfe4038a9afeee80",
          "mean": 0.2884274259703881,
          "std": 0.3531766680690703,
          "train": "28a36b2521e3937f",
          "validation": "c5420c86fa638cbb",
        },
      ]
    `);
  });

  test('takes the classes in turn, so that every start of the validation images is fair', () => {
    const { labels } = pooled.validation;
    expect([...labels.subarray(0, 20)]).toEqual([...Array(10).keys(), ...Array(10).keys()]);
  });

  test('is normalised over the training images', () => {
    for (const { images } of [pooled.train, full.train]) {
      const mean = images.reduce((sum, value) => sum + value, 0) / images.length;
      const square = images.reduce((sum, value) => sum + value * value, 0) / images.length;
      expect(mean).toBeCloseTo(0, 4);
      expect(square).toBeCloseTo(1, 4);
    }
  });

  test('pools 28×28 to 14×14 by averages', () => {
    expect([pooled.image, full.image].map(({ height }) => height)).toEqual([14, 28]);
    const brightness = (data: typeof full, n: number, y: number, x: number) => {
      const { height, width } = data.image;
      return data.train.images[(n * height + y) * width + x]! * data.std + data.mean;
    };
    for (const [n, y, x] of [
      [0, 7, 7],
      [123, 3, 9],
      [7999, 13, 13],
    ] as const) {
      const square = [0, 1].flatMap((j) =>
        [0, 1].map((i) => brightness(full, n, 2 * y + j, 2 * x + i)),
      );
      expect(brightness(pooled, n, y, x)).toBeCloseTo(square.reduce((a, b) => a + b) / 4, 5);
    }
  });

  test('lies in shared memory', () => {
    for (const split of [pooled.train, pooled.validation])
      for (const array of [split.images, split.labels])
        expect(array.buffer).toBeInstanceOf(SharedArrayBuffer);
    const posted = structuredClone(pooled);
    posted.train.labels[0]! += 1;
    expect(pooled.train.labels[0]).toBe(posted.train.labels[0]);
    posted.train.labels[0]! -= 1;
  });

  test('may be decompressed', () => {
    const folder = embeddedWith((_, bytes) => gunzipSync(bytes));
    expect(digest(loadFrom(folder).train)).toBe(digest(pooled.train));
  });
});

describe('a fold', () => {
  /** Each image by its bytes, which are different for nearly all. */
  const imagesOf = ({ images, count }: Split) => {
    const size = images.length / count;
    return Array.from({ length: count }, (_, n) =>
      createHash('sha256')
        .update(new Uint8Array(images.slice(n * size, (n + 1) * size).buffer))
        .digest('base64'),
    );
  };
  /** The same pixels whatever images they are normalised with. */
  const raw = (fold: number) => {
    const data = loadDataset('fashion-mnist', { pool: 2, fold });
    const scale = ({ images, ...split }: Split) => ({
      ...split,
      images: images.map((value) => Math.round((value * data.std + data.mean) * 1020) + 0),
    });
    return { train: imagesOf(scale(data.train)), validation: imagesOf(scale(data.validation)) };
  };

  test('validates on images that usually train, each in one fold, and trains on the others', () => {
    const usual = raw(0);
    const all = [...usual.train, ...usual.validation].sort();
    const validated = [1, 2, 3, 4].map((fold) => {
      const { train, validation } = raw(fold);
      expect([train.length, validation.length]).toEqual([8000, 2000]);
      expect([...train, ...validation].sort()).toEqual(all);
      return validation;
    });
    expect(validated.flat().sort()).toEqual([...usual.train].sort());
  });

  test('has as many images of every class', () => {
    const { train, validation } = loadDataset('fashion-mnist', { pool: 7, fold: 3 });
    expect([counts(train), counts(validation)]).toEqual([Array(10).fill(800), Array(10).fill(200)]);
  });
});

describe('a bad file', () => {
  /** The message, with the folder left out. */
  const complaint = (change: (name: string, bytes: Buffer) => Uint8Array | null): string => {
    const folder = embeddedWith(change);
    try {
      loadFrom(folder);
    } catch (error) {
      expect(error).toBeInstanceOf(UserError);
      expect((error as UserError).exitCode).toBe(1);
      return (error as UserError).message.replace(folder, 'DATA');
    }
    return 'no complaint';
  };
  const only = (target: string, change: (bytes: Buffer) => Uint8Array | null) =>
    complaint((name, bytes) => (name === target ? change(bytes) : bytes));

  test('is missing', () => {
    expect(only(IMAGES, () => null)).toMatchInlineSnapshot(
      `"The data file DATA/t10k-images-idx3-ubyte.gz is missing; restore it from the package or the repository."`,
    );
  });

  test('is truncated', () => {
    expect(only(LABELS, (bytes) => bytes.subarray(0, 2000))).toMatchInlineSnapshot(
      `"The data file DATA/t10k-labels-idx1-ubyte.gz is damaged: it cannot be decompressed (unexpected end of file); restore it from the package or the repository."`,
    );
  });

  test('is empty', () => {
    expect(only(LABELS, () => new Uint8Array())).toMatchInlineSnapshot(
      `"The data file DATA/t10k-labels-idx1-ubyte.gz is damaged: its content has the SHA-256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 instead of 0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34; restore it from the package or the repository."`,
    );
  });

  test('has one bit changed inside', () => {
    const tampered = only(LABELS, (bytes) => {
      const content = gunzipSync(bytes);
      content[100]! ^= 1;
      return content;
    });
    expect(tampered).toMatchInlineSnapshot(
      `"The data file DATA/t10k-labels-idx1-ubyte.gz is damaged: its content has the SHA-256 6c210ec5a2e5ae563d69a80e0210a6cbbb602324c74960dd211315f492e99f22 instead of 0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34; restore it from the package or the repository."`,
    );
  });

  test('has one bit changed in its compressed form', () => {
    const tampered = only(IMAGES, (bytes) => {
      bytes[1_000_000]! ^= 1;
      return bytes;
    });
    expect(tampered).toMatch(/^The data file DATA\/.* is damaged: .*; restore it .*\.$/);
  });
});

test('an unknown data set is named, with the known ones', () => {
  expect(() => loadDataset('imagenet')).toThrowErrorMatchingInlineSnapshot(
    `[UserError: There is no data set "imagenet"; the data sets are fashion-mnist, fashion-mnist-full, mnist, cifar10, cifar100, and every .npz file is one.]`,
  );
});

test('a pool that does not divide the image is named', () => {
  expect(() => loadDataset('fashion-mnist', { pool: 3 })).toThrowErrorMatchingInlineSnapshot(
    `[UserError: Images of 28×28 cannot be pooled by 3: it must divide both.]`,
  );
});

test('IDX headers that lie are found', () => {
  const file = { path: 'F', remedy: 'mend it' };
  const raw = (...bytes: number[]) => Uint8Array.from(bytes);
  expect(parseIdx(file, raw(0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 2, 7, 9))).toEqual({
    dimensions: [1, 2],
    values: raw(7, 9),
  });
  expect(() =>
    parseIdx(file, raw(0, 0, 8, 1, 0, 0, 0, 3, 1, 2)),
  ).toThrowErrorMatchingInlineSnapshot(
    `[UserError: The data file F is damaged: it holds 2 values where its header says 3; mend it.]`,
  );
  expect(() => parseIdx(file, raw(0, 0, 13, 1, 0, 0, 0, 0))).toThrowErrorMatchingInlineSnapshot(
    `[UserError: The data file F is damaged: it does not start like an IDX file of bytes; mend it.]`,
  );
});

test('pooling sums squares of pixels in place, channel by channel', () => {
  const image = { height: 2, width: 4, channels: 2 };
  const pixels = Uint8Array.from({ length: 32 }, (_, i) => i);
  expect([...poolSums(pixels, image, 2)]).toEqual([
    // Image 0: pixels (0,0) (0,1) (1,0) (1,1) hold 0 2 8 10 in channel 0.
    20, 24, 36, 40, 84, 88, 100, 104,
  ]);
});

test('a split takes the same share of every class and no image twice', () => {
  const labels = Uint8Array.from({ length: 60 }, (_, i) => i % 3);
  const { train, validation } = stratifiedSplit(labels, { classes: 3, validation: 15 });
  expect(new Set([...train, ...validation]).size).toBe(60);
  expect([...validation].map((id) => labels[id])).toEqual(
    Array.from({ length: 15 }, (_, i) => i % 3),
  );
});

test('a split of classes of unequal sizes holds out the same share of each, and uses every image', () => {
  const sizes = [70, 13, 37];
  const labels = Uint8Array.from(sizes.flatMap((size, label) => new Array(size).fill(label)));
  const { train, validation } = stratifiedSplit(labels, { classes: 3, validation: 20 });
  expect(new Set([...train, ...validation]).size).toBe(120);
  const held = sizes.map((_, label) => validation.filter((id) => labels[id] === label).length);
  // 20 · 70 / 120 = 11.67, 20 · 13 / 120 = 2.17, 20 · 37 / 120 = 6.17.
  expect(held).toEqual([12, 2, 6]);
  expect([...train.slice(0, 6)].map((id) => labels[id])).toEqual([0, 1, 2, 0, 1, 2]);
});

test('the hash that is asked for must be that of the data set', () => {
  expect(() =>
    loadDataset('fashion-mnist', { hash: 'feedface' }),
  ).toThrowErrorMatchingInlineSnapshot(
    `[UserError: The data set fashion-mnist has the hash cfe4038a9afeee80 and not feedface; scores on the two would not compare.]`,
  );
});

test('test images where there are none are refused', () => {
  expect(() => loadDataset('fashion-mnist', { fold: 'test' })).toThrowErrorMatchingInlineSnapshot(
    `[UserError: The data set fashion-mnist has no test images; take one that has.]`,
  );
});

describe('a pair of IDX files', () => {
  const SHAPE = { count: 6, height: 2, width: 3, classes: 3 };
  const images = idx([6, 2, 3], [...Array(36).keys()]);
  const labels = idx([6], [0, 1, 2, 2, 1, 0]);

  /** The two files, with the sums that they have. */
  function pair(x: Uint8Array, y: Uint8Array) {
    const folder = folderWith({ x, y });
    const file = (name: string, bytes: Uint8Array) => ({
      ...{ path: join(folder, name), remedy: 'mend it', content: sha256(bytes) },
    });
    return complaintOf(() => readIdxPair(file('x', x), file('y', y), SHAPE), folder);
  }

  test('is read where all fits', () => {
    expect(pair(images, labels)).toBeNull();
  });

  test.each([
    [
      'DATA/y is damaged: its array has the shape 5 instead of 6',
      images,
      idx([5], [0, 1, 2, 2, 1]),
    ],
    [
      'DATA/y is damaged: label 3 is 3, and the classes are 0 to 2',
      images,
      idx([6], [0, 1, 2, 3, 1, 0]),
    ],
    [
      'DATA/x is damaged: its array has the shape 6×3×2 instead of 6×2×3',
      idx([6, 3, 2], Array(36)),
      labels,
    ],
    ['DATA/x is damaged: its array has the shape 6 instead of 6×2×3', labels, labels],
    [
      'DATA/x is damaged: it cannot be decompressed (it holds more than 1060 bytes)',
      gzipSync(Buffer.alloc(1e6)),
      labels,
    ],
  ])('%s', (complaint, x, y) => {
    expect(pair(x, y)).toBe(`The data file ${complaint}; mend it.`);
  });

  test('of other lengths than it says is refused, whatever its checksum', () => {
    fc.assert(
      fc.property(fc.nat(80), (length) => {
        const bytes = Buffer.alloc(length);
        images.copy(bytes);
        expect(pair(bytes, labels) === null).toBe(length === images.length);
      }),
    );
  });

  test('with a flipped bit is refused or has other pixels only', () => {
    const [whole] = [idx([6, 2, 3], new Array(36).fill(1))];
    fc.assert(
      fc.property(fc.nat(whole.length * 8 - 1), (bit) => {
        const bytes = Buffer.from(whole);
        bytes[bit >> 3]! ^= 1 << (bit & 7);
        expect(pair(bytes, labels) === null).toBe(bit >> 3 >= 16);
        // Under the checksum that it should have, every change is found.
        const file = { path: join(folderWith({ x: bytes }), 'x'), remedy: '' };
        expect(() => readIdx({ ...file, content: sha256(whole) }, [6, 2, 3])).toThrow(UserError);
      }),
      { numRuns: 50 },
    );
  });
});
