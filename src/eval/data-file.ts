import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { UserError } from '../errors.ts';

/** Images as files hold them: NHWC, bytes or real numbers, and the class of each. */
export interface LabelledImages {
  readonly pixels: Uint8Array | Float32Array;
  readonly labels: Uint8Array;
}

/** What the files of a data set hold. */
export interface DataContent {
  readonly train: LabelledImages;
  readonly test: LabelledImages | null;
}

/** A file that is about to be read, and what its owner can do where it is no good. */
export interface DataPath {
  readonly path: string;
  /** The end of a sentence. */
  readonly remedy: string;
}

export const sha256 = (content: Uint8Array): string =>
  createHash('sha256').update(content).digest('hex');

export const damaged = ({ path, remedy }: DataPath, why: string, cause?: unknown): UserError =>
  new UserError(`The data file ${path} is damaged: ${why}; ${remedy}.`, 1, { cause });

/** The bytes of a file. Throws a UserError where there is none, or it cannot be read. */
export function readDataFile({ path, remedy }: DataPath): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'missing' : 'unreadable';
    throw new UserError(`The data file ${path} is ${reason}; ${remedy}.`, 1, { cause });
  }
}

/** Bytes that may be gzipped, without that. More than `limit` bytes are refused while they come out. */
export function decompress(file: DataPath, bytes: Buffer, limit: number): Uint8Array {
  const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
  if (!isGzip) return bytes;
  try {
    return gunzipSync(bytes, { maxOutputLength: limit });
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why = code === 'ERR_BUFFER_TOO_LARGE' ? `it holds more than ${limit} bytes` : message;
    throw damaged(file, `it cannot be decompressed (${why})`, cause);
  }
}

/** Throws a UserError unless `content` has the SHA-256 `wanted`. */
export function checkSum(file: DataPath, content: Uint8Array, wanted: string): void {
  const actual = sha256(content);
  if (actual !== wanted)
    throw damaged(file, `its content has the SHA-256 ${actual} instead of ${wanted}`);
}

/** Throws a UserError where a label is no class. */
export function checkLabels(file: DataPath, labels: ArrayLike<number>, classes: number): void {
  for (let i = 0; i < labels.length; i++)
    if (!(labels[i]! < classes))
      throw damaged(file, `label ${i} is ${labels[i]}, and the classes are 0 to ${classes - 1}`);
}
