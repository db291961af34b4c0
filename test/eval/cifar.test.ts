import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type CifarArchive, parseCifar, readCifar } from '../../src/eval/cifar.ts';
import { sha256 } from '../../src/eval/data-file.ts';
import { complaintOf, folderWith, tarGz } from './data-files.ts';

const PLANE = 1024;

/** A record: label bytes, then planes of red, green and blue. */
const record = (label: readonly number[], colour: (plane: number, i: number) => number) =>
  Uint8Array.from([
    ...label,
    ...Array.from({ length: 3 * PLANE }, (_, i) => colour(Math.floor(i / PLANE), i % PLANE) & 255),
  ]);

const records = (labels: readonly (readonly number[])[]) =>
  Buffer.concat(labels.map((label, n) => record(label, (plane, i) => 7 * n + 50 * plane + i)));

const TEN = { path: 'F', remedy: 'mend it', classes: 10, labelBytes: 1 as const };
const HUNDRED = { path: 'F', remedy: 'mend it', classes: 100, labelBytes: 2 as const };

const FILES = {
  'batches/readme.html': Buffer.from('<html>'),
  'batches/train_1.bin': records([[3], [0]]),
  'batches/train_2.bin': records([[9], [1]]),
  'batches/test.bin': records([[5]]),
};

function archived(bytes: Uint8Array, sum = sha256(bytes)): CifarArchive {
  const folder = folderWith({ 'a.tar.gz': bytes });
  return {
    ...TEN,
    ...{ path: `${folder}/a.tar.gz`, sha256: sum, imagesPerFile: { train: 2, test: 1 } },
    ...{ train: ['train_1.bin', 'train_2.bin'], test: ['test.bin'] },
  };
}

test('planes of colour become channels of pixels', () => {
  const { pixels, labels } = parseCifar(TEN, records([[3], [9]]), 2);
  expect([...labels]).toEqual([3, 9]);
  const at = (n: number, i: number) => [
    ...pixels.subarray((n * PLANE + i) * 3, (n * PLANE + i) * 3 + 3),
  ];
  expect(at(0, 0)).toEqual([0, 50, 100]);
  expect(at(0, 40)).toEqual([40, 90, 140]);
  expect(at(1, 1023)).toEqual([7 + 1023, 57 + 1023, 107 + 1023].map((value) => value & 255));
});

test('the class of CIFAR-100 is the second byte', () => {
  expect([
    ...parseCifar(
      HUNDRED,
      records([
        [19, 99],
        [0, 7],
      ]),
      2,
    ).labels,
  ]).toEqual([99, 7]);
});

test('an archive gives its files in order', () => {
  const { train, test } = readCifar(archived(tarGz(FILES)));
  expect([[...train.labels], [...test!.labels]]).toEqual([[3, 0, 9, 1], [5]]);
  expect(train.pixels).toHaveLength(4 * 3 * PLANE);
});

test('labels outside of the classes are named', () => {
  expect(complaintOf(() => parseCifar(TEN, records([[3], [10]]), 2))).toMatchInlineSnapshot(
    `"The data file F is damaged: label 1 is 10, and the classes are 0 to 9; mend it."`,
  );
  expect(complaintOf(() => parseCifar(HUNDRED, records([[20, 3]]), 1))).toMatch(/label 0 is 20/);
  expect(complaintOf(() => parseCifar(HUNDRED, records([[2, 100]]), 1))).toMatch(/label 0 is 100/);
});

test('a file that is too short or too long is refused', () => {
  const whole = records([[3], [9]]);
  fc.assert(
    fc.property(fc.nat(whole.length + 5000), (length) => {
      const bytes = Buffer.alloc(length);
      whole.copy(bytes);
      const complaint = complaintOf(() => parseCifar(TEN, bytes, 2));
      if (length === whole.length) expect(complaint).toBeNull();
      else expect(complaint).toMatch(/ bytes where 2 images take 6146; mend it\.$/);
    }),
  );
});

test('another archive is refused', () => {
  const archive = archived(tarGz(FILES), sha256(Buffer.from('other')));
  expect(complaintOf(() => readCifar(archive))).toMatch(/has the SHA-256 \w{64} instead of \w{64}/);
});

test('whatever the checksum says, a broken archive is refused or holds the same', () => {
  const whole = tarGz(FILES);
  const wanted = readCifar(archived(whole));
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(7), fc.boolean(), (at, bit, cut) => {
      const bytes = cut ? whole.subarray(0, at) : Buffer.from(whole);
      if (!cut) bytes[at]! ^= 1 << bit;
      const archive = archived(bytes);
      if (complaintOf(() => readCifar(archive)) === null)
        expect(readCifar(archive)).toEqual(wanted);
    }),
    { numRuns: 60 },
  );
});

test('a tar that was cut before it was compressed is refused', () => {
  const { 'batches/test.bin': _, ...rest } = FILES;
  const complaint = complaintOf(() => readCifar(archived(tarGz(rest))));
  expect(complaint).toMatch(/ is damaged: it has no file test\.bin; mend it\.$/);
});

test('an archive that would fill the memory is refused while it is decompressed', () => {
  const bomb = tarGz({ 'train_1.bin': Buffer.alloc(5e6) });
  expect(bomb.length).toBeLessThan(1e4);
  expect(complaintOf(() => readCifar(archived(bomb)))).toMatch(/it holds more than 1015365 bytes/);
});
