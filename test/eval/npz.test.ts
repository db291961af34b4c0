import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readNpz } from '../../src/eval/npz.ts';
import { complaintOf, folderWith, npy, zip } from './data-files.ts';

type Files = Readonly<Record<string, Uint8Array>>;

const bytes = (count: number, of: (i: number) => number = (i) => (37 * i) & 255) =>
  Uint8Array.from({ length: count }, (_, i) => of(i));
const labels = (count: number) => bytes(count, (i) => i % 3);

/** 12 and 6 images of 3 × 4. */
const SOUND: Files = {
  'x_train.npy': npy('|u1', [12, 3, 4], bytes(144)),
  'y_train.npy': npy('|u1', [12], labels(12)),
  'x_test.npy': npy('|u1', [6, 3, 4], bytes(72)),
  'y_test.npy': npy('|u1', [6], labels(6)),
};

const pathOf = (archive: Uint8Array) => join(folderWith({ 'a.npz': archive }), 'a.npz');
const read = (archive: Uint8Array) => readNpz(pathOf(archive));
const with_ = (change: Files) => zip({ ...SOUND, ...change });

/** What is wrong, without the beginning and the end that all complaints have. */
function wrong(archive: Uint8Array): string | undefined {
  const complaint = complaintOf(() => read(archive));
  const form = /^The data file \S+ is no data set: (.*); it must be a sound \.npz with .*\.$/;
  return form.exec(complaint ?? '')?.[1];
}

test.each([{ deflate: false }, { deflate: true }])('%j arrays are read', (options) => {
  const { image, classes, train, test } = read(zip(SOUND, options));
  expect({ image, classes }).toEqual({ image: { height: 3, width: 4, channels: 1 }, classes: 3 });
  expect(train).toEqual({ pixels: bytes(144), labels: labels(12) });
  expect(test).toEqual({ pixels: bytes(72), labels: labels(6) });
});

test('the hash is that of the file', () => {
  expect(read(zip(SOUND)).hash).toBe(read(zip(SOUND)).hash);
  expect(read(zip(SOUND)).hash).not.toBe(read(zip(SOUND, { deflate: true })).hash);
});

test('test images may be left out, and other arrays may be there', () => {
  const { 'x_train.npy': x, 'y_train.npy': y } = SOUND;
  const other = npy('|O', [1], bytes(8));
  const { train, test } = read(zip({ 'x_train.npy': x!, 'y_train.npy': y!, 'other.npy': other }));
  expect([train.labels.length, test]).toEqual([12, null]);
});

test('colours are the last dimension', () => {
  const x = npy('|u1', [12, 2, 3, 2], bytes(144));
  const { image } = read(zip({ 'x_train.npy': x, 'y_train.npy': SOUND['y_train.npy']! }));
  expect(image).toEqual({ height: 2, width: 3, channels: 2 });
});

describe('real numbers', () => {
  const floats = (type: string, value: (i: number) => number) => {
    const size = Number(type[2]);
    const view = new DataView(new ArrayBuffer(144 * size));
    for (let i = 0; i < 144; i++)
      if (size === 4) view.setFloat32(4 * i, value(i), type[0] === '<');
      else view.setFloat64(8 * i, value(i), type[0] === '<');
    const x = npy(type, [12, 3, 4], new Uint8Array(view.buffer));
    return zip({ 'x_train.npy': x, 'y_train.npy': SOUND['y_train.npy']! });
  };

  test.each(['<f4', '>f4', '<f8', '>f8'])('of the type %s are read in single precision', (type) => {
    const { pixels } = read(floats(type, (i) => i / 7 - 3)).train;
    expect(pixels).toEqual(Float32Array.from({ length: 144 }, (_, i) => i / 7 - 3));
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])('that are %d are refused', (value) => {
    const archive = floats('<f4', (i) => (i === 100 ? value : i));
    expect(wrong(archive)).toBe('x_train has a value that is not finite');
  });
});

describe('labels', () => {
  const SIZES = { u1: 1, i1: 1, u2: 2, i2: 2, u4: 4, i4: 4, u8: 8, i8: 8 };
  const TYPES = Object.entries(SIZES).flatMap(([kind, size]) =>
    (size === 1 ? ['|'] : ['<', '>']).map((order) => [order + kind, size] as const),
  );
  const integers = (type: string, size: number, of: (i: number) => number) => {
    const all = Buffer.alloc(12 * size, 0);
    for (let i = 0; i < 12; i++) {
      const value = Buffer.alloc(8);
      value.writeBigInt64LE(BigInt(of(i)));
      const low = value.subarray(0, size);
      (type.startsWith('>') ? low.reverse() : low).copy(all, i * size);
    }
    return all;
  };
  const labelled = (type: string, shape: readonly number[], values: Uint8Array) =>
    with_({ 'y_train.npy': npy(type, shape, values) });

  test.each(TYPES)('of the type %s are read', (type, size) => {
    const values = integers(type, size, (i) => i % 3);
    for (const shape of [[12], [12, 1]])
      expect(read(labelled(type, shape, values)).train.labels).toEqual(labels(12));
  });

  test.each(TYPES.filter(([type]) => type.includes('i')))(
    'of the type %s below 0 are refused',
    (type, size) => {
      const values = integers(type, size, (i) => (i === 5 ? -1 : i % 3));
      expect(wrong(labelled(type, [12], values))).toBe(
        'y_train has the label -1, and 0 to 255 can be',
      );
    },
  );

  test('beyond a byte are refused', () => {
    const values = integers('<i4', 4, (i) => (i === 5 ? 256 : i % 3));
    expect(wrong(labelled('<i4', [12], values))).toBe(
      'y_train has the label 256, and 0 to 255 can be',
    );
  });

  test.each([
    ['y_train has labels up to 3 but none is 0', '|u1', [12], bytes(12, (i) => 1 + (i % 3))],
    ['y_train has a single class', '|u1', [12], bytes(12, () => 0)],
    ['y_train is of the type <f4, and integers are read', '<f4', [12], bytes(48, () => 0)],
    [
      'y_train has the shape (11) where x_train has 12 images, with one label each',
      ...['|u1', [11], labels(11)],
    ],
    [
      'y_train has the shape (12, 2) where x_train has 12 images, with one label each',
      ...['|u1', [12, 2], labels(24)],
    ],
  ] as const)('%s', (complaint, ...array) => {
    expect(wrong(labelled(...(array as unknown as [string, number[], Uint8Array])))).toBe(
      complaint,
    );
  });

  test('of test images that no training image has are refused', () => {
    const archive = with_({
      'y_test.npy': npy(
        '|u1',
        [6],
        bytes(6, (i) => i),
      ),
    });
    expect(wrong(archive)).toBe('y_test has the label 3, which y_train does not have');
  });
});

test.each<readonly [string, Files]>([
  [
    'x_train holds Python objects, which only a pickle could restore',
    { 'x_train.npy': npy('|O', [12, 3, 4], bytes(144)) },
  ],
  [
    'x_train is in Fortran order, and C order is read',
    { 'x_train.npy': npy('|u1', [12, 3, 4], bytes(144), 'True') },
  ],
  [
    'x_train is of the type <i4, and uint8, float32 or float64 are read',
    { 'x_train.npy': npy('<i4', [12, 3, 4], bytes(576)) },
  ],
  [
    'x_train has the shape (144), not (N, H, W) or (N, H, W, C)',
    { 'x_train.npy': npy('|u1', [144], bytes(144)) },
  ],
  [
    'x_train has the shape (12, 1, 600), and sides may be 1 to 512, channels 1 to 64',
    { 'x_train.npy': npy('|u1', [12, 1, 600], bytes(7200)) },
  ],
  ['x_train has 1 images, and it takes two', { 'x_train.npy': npy('|u1', [1, 3, 4], bytes(12)) }],
  [
    'x_train has 143 bytes of values where its header says 144',
    { 'x_train.npy': npy('|u1', [12, 3, 4], bytes(143)) },
  ],
  [
    'x_train has 145 bytes of values where its header says 144',
    { 'x_train.npy': npy('|u1', [12, 3, 4], bytes(145)) },
  ],
  ['x_train does not start like an .npy file', { 'x_train.npy': Buffer.from('hello') }],
  [
    'of x_train and x_test one has bytes and one real numbers',
    { 'x_test.npy': npy('<f4', [6, 3, 4], new Uint8Array(288)) },
  ],
  [
    'the images of x_test have another shape than those of x_train',
    { 'x_test.npy': npy('|u1', [6, 4, 3], bytes(72)) },
  ],
])('%s', (complaint, change) => {
  expect(wrong(with_(change))).toBe(complaint);
});

test('an array that is missing is named', () => {
  const { 'x_train.npy': x, 'y_test.npy': y } = SOUND;
  expect(wrong(zip({ 'x_train.npy': x! }))).toBe('it has no y_train');
  expect(wrong(zip({ ...SOUND, 'x_test.npy': y!, 'x_train.npy': x! }))).toMatch(/x_test/);
});

test('a small file that would fill the memory is refused before it is unpacked', () => {
  const huge = zip(
    { ...SOUND, 'x_train.npy': npy('|u1', [12, 3, 4], bytes(144)) },
    { size: 2 ** 31 },
  );
  expect(wrong(huge)).toBe('x_train takes 2147483648 bytes, and 1073741824 is the limit');
});

test('an array that unpacks to more than it says is refused', () => {
  const lies = zip({ 'x_train.npy': Buffer.alloc(1e6) }, { deflate: true, size: 1000 });
  expect(wrong(lies)).toMatch(/^it cannot be unpacked \(.*1000.*\)$/);
});

test('a file that is missing or no archive is refused', () => {
  const folder = folderWith({});
  expect(complaintOf(() => readNpz(join(folder, 'a.npz')), folder)).toMatchInlineSnapshot(
    `"The data file DATA/a.npz is missing; name one that can be read."`,
  );
  expect(wrong(Buffer.from('no archive'))).toMatch(/^it cannot be unpacked \(/);
  expect(wrong(Buffer.alloc(0))).toMatch(/^it cannot be unpacked \(/);
});

test.each([false, true])(
  'flipped, cut or extended (deflated: %j), it is refused or holds the same',
  (deflate) => {
    const whole = zip(SOUND, { deflate });
    const { hash: _, ...wanted } = read(whole);
    const change = fc.constantFrom('flip', 'cut', 'extend', 'insert');
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), change, (at, value, how) => {
        const [before, after] = [whole.subarray(0, at), whole.subarray(at)];
        const flipped = Buffer.from(whole);
        flipped[at]! ^= value;
        const archive = {
          flip: flipped,
          cut: before,
          extend: Buffer.concat([whole, before]),
          insert: Buffer.concat([before, Buffer.from([value]), after]),
        }[how];
        const path = pathOf(archive);
        if (complaintOf(() => readNpz(path)) !== null) return;
        const { hash, ...found } = readNpz(path);
        expect(found).toEqual(wanted);
      }),
      { numRuns: 400 },
    );
  },
);
