/*
 * Data sets as NumPy's .npz, with the names that Keras gives the arrays of its own. The format is a zip of
 * .npy files (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html): magic, version,
 * length of the header, a header that is a Python literal, the values. Pickles are never read.
 */
import { createRequire } from 'node:module';
import { UserError } from '../errors.ts';
import { type LabelledImages, readDataFile, sha256 } from './data-file.ts';
import type { ImageShape } from './network.ts';

/** The part of adm-zip that is used here: it checks CRCs, and inflates no more than an entry says that it holds. */
interface Zip {
  getEntries(): readonly {
    readonly entryName: string;
    readonly header: { readonly size: number };
    getData(): Buffer;
  }[];
}

const load = createRequire(import.meta.url);

/** A whole data set, with what its arrays say of themselves. */
export interface NpzData {
  readonly hash: string;
  readonly image: ImageShape;
  readonly classes: number;
  readonly train: LabelledImages;
  readonly test: LabelledImages | null;
}

/** Bytes of an array, so that a small file cannot fill the memory. CIFAR-10 has 154 MB. */
const ARRAY_LIMIT = 2 ** 30;
const SIDE_LIMIT = 512;
const CHANNEL_LIMIT = 64;
/** Labels are kept as bytes. */
const CLASS_LIMIT = 256;

const refused = (path: string, why: string, cause?: unknown): UserError =>
  new UserError(
    `The data file ${path} is no data set: ${why}; it must be a sound .npz with x_train, y_train and, if there are test images, x_test, y_test.`,
    1,
    { cause },
  );

/** Throws a UserError where the file cannot be read or does not hold a data set. */
export function readNpz(path: string): NpzData {
  const bytes = readDataFile({ path, remedy: 'name one that can be read' });
  const arrays = arraysOf(path, bytes);
  const { image, ...train } = imagesOf(path, arrays, 'train');
  const classes = classesOf(path, train.labels);
  const hasTest = arrays.has('x_test') || arrays.has('y_test');
  const test = hasTest ? testOf(path, arrays, image, classes) : null;
  if (test && test.pixels.constructor !== train.pixels.constructor)
    throw refused(path, 'of x_train and x_test one has bytes and one real numbers');
  const hash = sha256(bytes).slice(0, 16);
  return { hash, image, classes, train, test };
}

function testOf(
  path: string,
  arrays: ReadonlyMap<string, NpyArray>,
  { height, width, channels }: ImageShape,
  classes: number,
): LabelledImages {
  const { image, ...test } = imagesOf(path, arrays, 'test');
  if (image.height !== height || image.width !== width || image.channels !== channels)
    throw refused(path, 'the images of x_test have another shape than those of x_train');
  const stray = test.labels.find((label) => label >= classes);
  if (stray !== undefined)
    throw refused(path, `y_test has the label ${stray}, which y_train does not have`);
  return test;
}

const NAMES = ['x_train', 'y_train', 'x_test', 'y_test'];

function arraysOf(path: string, bytes: Buffer): ReadonlyMap<string, NpyArray> {
  const AdmZip = load('adm-zip') as new (bytes: Buffer, options: object) => Zip;
  const wanted = new Map<string, NpyArray>();
  try {
    for (const entry of new AdmZip(bytes, { noSort: true }).getEntries()) {
      const name = entry.entryName.replace(/\.npy$/, '');
      if (!NAMES.includes(name) || name === entry.entryName) continue;
      const { size } = entry.header;
      if (wanted.has(name)) throw refused(path, `it has ${name} twice`);
      if (size > ARRAY_LIMIT)
        throw refused(path, `${name} takes ${size} bytes, and ${ARRAY_LIMIT} is the limit`);
      wanted.set(name, parseNpy(path, name, entry.getData()));
    }
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    if (!(cause instanceof Error)) throw cause;
    // It may quote a name from the file, with what a terminal would obey.
    const why = cause.message.replace(/^ADM-ZIP: |[.\s]+$/g, '').replace(/\p{C}/gu, '\ufffd');
    throw refused(path, `it cannot be unpacked (${why})`, cause);
  }
  return wanted;
}

interface NpyArray {
  /** As in the header, such as `|u1` or `<f4`. */
  readonly type: string;
  readonly shape: readonly number[];
  readonly values: DataView;
}

const MAGIC = Buffer.from('\x93NUMPY', 'latin1');

/** Throws a UserError where it is no .npy of plain numbers in C order, with as many of them as its header says. */
function parseNpy(path: string, name: string, bytes: Buffer): NpyArray {
  const wrong = (why: string) => refused(path, `${name} ${why}`);
  const start = bytes[6] === 1 ? 10 : 12;
  if (
    bytes.length < start ||
    !bytes.subarray(0, 6).equals(MAGIC) ||
    !'\x01\x02\x03'.includes(String.fromCharCode(bytes[6]!))
  )
    throw wrong('does not start like an .npy file');
  const end = start + (start === 10 ? bytes.readUInt16LE(8) : bytes.readUInt32LE(8));
  const header = bytes.toString('latin1', start, Math.min(end, start + 10_000));
  const { type, order, shape } = headerOf(header) ?? {};
  if (type === undefined || shape === undefined) throw wrong('has no header of plain numbers');
  if (type.includes('O')) throw wrong('holds Python objects, which only a pickle could restore');
  if (order !== 'False') throw wrong('is in Fortran order, and C order is read');
  const count = shape.reduce((a, b) => a * b, 1);
  const needed = count * Number(/\d+$/.exec(type)?.[0] ?? Number.NaN);
  if (bytes.length - end !== needed)
    throw wrong(`has ${bytes.length - end} bytes of values where its header says ${needed}`);
  return { type, shape, values: new DataView(bytes.buffer, bytes.byteOffset + end, needed) };
}

function headerOf(text: string) {
  const descr = /'descr'\s*:\s*'([<>|=]?[a-zA-Z]\d*)'/.exec(text)?.[1];
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(text)?.[1];
  const shape = /'shape'\s*:\s*\(([\d\s,]*)\)/.exec(text)?.[1];
  if (descr === undefined || order === undefined || shape === undefined) return null;
  const sizes = shape.split(',').map((size) => size.trim());
  return { type: descr, order, shape: sizes.filter((size) => size !== '').map(Number) };
}

function imagesOf(
  path: string,
  arrays: ReadonlyMap<string, NpyArray>,
  split: 'train' | 'test',
): LabelledImages & { readonly image: ImageShape } {
  const [x, y] = [`x_${split}`, `y_${split}`].map((name) => {
    const array = arrays.get(name);
    if (!array) throw refused(path, `it has no ${name}`);
    return { name, ...array };
  }) as [Named, Named];
  const image = imageShapeOf(path, x);
  const [count] = x.shape as [number];
  if (y.shape[0] !== count || y.shape.length > 2 || (y.shape[1] ?? 1) !== 1)
    throw refused(
      path,
      `${y.name} has the shape ${shown(y.shape)} where ${x.name} has ${count} images, with one label each`,
    );
  return { pixels: pixelsOf(path, x), labels: labelsOf(path, y), image };
}

type Named = NpyArray & { readonly name: string };

const shown = (shape: readonly number[]): string => `(${shape.join(', ')})`;

function imageShapeOf(path: string, { name, shape }: Named): ImageShape {
  const [count = 0, height = 0, width = 0, channels = 1] = shape;
  const fits = (size: number, limit: number) => size >= 1 && size <= limit;
  if (shape.length !== 3 && shape.length !== 4)
    throw refused(path, `${name} has the shape ${shown(shape)}, not (N, H, W) or (N, H, W, C)`);
  if (!fits(height, SIDE_LIMIT) || !fits(width, SIDE_LIMIT) || !fits(channels, CHANNEL_LIMIT))
    throw refused(
      path,
      `${name} has the shape ${shown(shape)}, and sides may be 1 to ${SIDE_LIMIT}, channels 1 to ${CHANNEL_LIMIT}`,
    );
  if (count < 2) throw refused(path, `${name} has ${count} images, and it takes two`);
  return { height, width, channels };
}

/** Bytes as they are; real numbers in single precision. */
function pixelsOf(path: string, { name, type, values }: Named): Uint8Array | Float32Array {
  const { buffer, byteOffset, byteLength } = values;
  if (/^[|<>=]?u1$/.test(type)) return new Uint8Array(buffer, byteOffset, byteLength);
  const [, order, bytes] = /^([<>])f([48])$/.exec(type) ?? [];
  if (bytes === undefined)
    throw refused(path, `${name} is of the type ${type}, and uint8, float32 or float64 are read`);
  const little = order === '<';
  const size = Number(bytes);
  const pixels = new Float32Array(byteLength / size);
  for (let i = 0; i < pixels.length; i++) {
    pixels[i] = size === 4 ? values.getFloat32(4 * i, little) : values.getFloat64(8 * i, little);
    if (!Number.isFinite(pixels[i])) throw refused(path, `${name} has a value that is not finite`);
  }
  return pixels;
}

type IntegerReader = (view: DataView, at: number, little: boolean) => number | bigint;

const INTEGERS: Readonly<Record<string, IntegerReader>> = {
  u1: (view, at) => view.getUint8(at),
  i1: (view, at) => view.getInt8(at),
  u2: (view, at, little) => view.getUint16(at, little),
  i2: (view, at, little) => view.getInt16(at, little),
  u4: (view, at, little) => view.getUint32(at, little),
  i4: (view, at, little) => view.getInt32(at, little),
  u8: (view, at, little) => view.getBigUint64(at, little),
  i8: (view, at, little) => view.getBigInt64(at, little),
};

function labelsOf(path: string, { name, type, values }: Named): Uint8Array {
  const kind = type.replace(/^[<>|=]/, '');
  const read = Object.hasOwn(INTEGERS, kind) ? INTEGERS[kind] : undefined;
  if (!read) throw refused(path, `${name} is of the type ${type}, and integers are read`);
  const size = Number(kind[1]);
  return Uint8Array.from({ length: values.byteLength / size }, (_, i) => {
    const label = read(values, i * size, !type.startsWith('>'));
    if (label < 0 || label >= CLASS_LIMIT)
      throw refused(path, `${name} has the label ${label}, and 0 to ${CLASS_LIMIT - 1} can be`);
    return Number(label);
  });
}

/** The classes are 0 to the largest label, and each must be there: labels from 1 on would train a class of nothing. */
function classesOf(path: string, labels: Uint8Array): number {
  const there = new Set(labels);
  const classes = Math.max(...there) + 1;
  for (let label = 0; label < classes; label++)
    if (!there.has(label))
      throw refused(path, `y_train has labels up to ${classes - 1} but none is ${label}`);
  if (classes < 2) throw refused(path, 'y_train has a single class');
  return classes;
}
