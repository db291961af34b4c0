import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { UserError } from '../errors.ts';

/** Bytes with dimensions, as IDX files hold them (http://yann.lecun.com/exdb/mnist, "the IDX file format"). */
export interface IdxArray {
  readonly dimensions: readonly number[];
  readonly values: Uint8Array;
}

/**
 * Reads an IDX file of unsigned bytes, plain or gzipped, whose decompressed content has the given SHA-256.
 * Throws a UserError where it is missing, damaged, or another file.
 */
export function readIdx(path: string, sha256: string): IdxArray {
  const content = decompress(path, read(path));
  const actual = createHash('sha256').update(content).digest('hex');
  if (actual !== sha256)
    throw damaged(path, `its content has the SHA-256 ${actual} instead of ${sha256}`);
  return parseIdx(path, content);
}

/** Throws a UserError that names `path` where `content` is not IDX with as many bytes as its header says. */
export function parseIdx(path: string, content: Uint8Array): IdxArray {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const rank = content[3] ?? 0;
  const header = 4 + 4 * rank;
  // Two zero bytes, the element type (8: unsigned byte), the number of dimensions.
  if (content.length < header || view.getUint16(0) !== 0 || content[2] !== 8 || rank === 0)
    throw damaged(path, 'it does not start like an IDX file of bytes');
  const dimensions = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const size = dimensions.reduce((a, b) => a * b, 1);
  if (content.length !== header + size)
    throw damaged(path, `it holds ${content.length - header} values where its header says ${size}`);
  return { dimensions, values: content.subarray(header) };
}

function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'missing' : 'unreadable';
    throw new UserError(`The data file ${path} is ${reason}; ${REMEDY}.`, 1, { cause });
  }
}

function decompress(path: string, bytes: Buffer): Uint8Array {
  const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
  if (!isGzip) return bytes;
  try {
    return gunzipSync(bytes);
  } catch (cause) {
    throw damaged(path, `it cannot be decompressed (${(cause as Error).message})`, cause);
  }
}

const REMEDY = 'restore it from the package or the repository';

const damaged = (path: string, why: string, cause?: unknown): UserError =>
  new UserError(`The data file ${path} is damaged: ${why}; ${REMEDY}.`, 1, { cause });
