import {
  checkLabels,
  checkSum,
  type DataPath,
  damaged,
  decompress,
  type LabelledImages,
  readDataFile,
} from './data-file.ts';

/** Bytes with dimensions, as IDX files hold them (http://yann.lecun.com/exdb/mnist, "the IDX file format"). */
export interface IdxArray {
  readonly dimensions: readonly number[];
  readonly values: Uint8Array;
}

/** An IDX file, plain or gzipped. */
export interface IdxFile extends DataPath {
  /** SHA-256 of the decompressed content. */
  readonly content: string;
}

const HEADER_AT_MOST = 1024;

/**
 * Reads an IDX file of unsigned bytes that holds what it should. Throws a UserError where it is missing,
 * damaged, or another file.
 */
export function readIdx(file: IdxFile, dimensions: readonly number[]): Uint8Array {
  const limit = HEADER_AT_MOST + dimensions.reduce((a, b) => a * b, 1);
  const content = decompress(file, readDataFile(file), limit);
  checkSum(file, content, file.content);
  const array = parseIdx(file, content);
  if (array.dimensions.join('×') !== dimensions.join('×'))
    throw damaged(
      file,
      `its array has the shape ${array.dimensions.join('×')} instead of ${dimensions.join('×')}`,
    );
  return array.values;
}

/** Throws a UserError that names the file where `content` is not IDX with as many bytes as its header says. */
export function parseIdx(file: DataPath, content: Uint8Array): IdxArray {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const rank = content[3] ?? 0;
  const header = 4 + 4 * rank;
  // Two zero bytes, the element type (8: unsigned byte), the number of dimensions.
  if (content.length < header || view.getUint16(0) !== 0 || content[2] !== 8 || rank === 0)
    throw damaged(file, 'it does not start like an IDX file of bytes');
  const dimensions = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const size = dimensions.reduce((a, b) => a * b, 1);
  if (content.length !== header + size)
    throw damaged(file, `it holds ${content.length - header} values where its header says ${size}`);
  return { dimensions, values: content.subarray(header) };
}

/** Images of one channel, and their labels. Throws a UserError where a file is not what it should be. */
export function readIdxPair(
  images: IdxFile,
  labels: IdxFile,
  { count, height, width, classes }: Record<'count' | 'height' | 'width' | 'classes', number>,
): LabelledImages {
  const pixels = readIdx(images, [count, height, width]);
  const values = readIdx(labels, [count]);
  checkLabels(labels, values, classes);
  return { pixels, labels: values };
}
