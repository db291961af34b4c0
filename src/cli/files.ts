import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { printable } from '../format.ts';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  EEXIST: 'a file has its name',
  EACCES: 'permission is denied',
  EPERM: 'permission is denied',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of the path is no folder',
  ENOSPC: 'there is no space left',
  EDQUOT: 'there is no space left',
  EROFS: 'the file system is read-only',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'its links lead in a circle',
  EBUSY: 'it is in use',
};

/** An error of the file system as a UserError; anything else as it is. */
export function explainedFile(error: unknown, what: string): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const reason = REASONS[code];
  return reason ? new UserError(`${what}: ${reason}.`, 1, { cause: error }) : error;
}

/** Makes a folder, with those that it lies in, unless it is there. */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw explainedFile(error, `The folder ${path} cannot be made`);
  }
}

/** Writes a file whole or not at all: under another name first, which then replaces what was there. */
export function writeWhole(path: string, content: string | Uint8Array): void {
  const target = resolve(path);
  const temporary = join(dirname(target), `.${basename(target).slice(0, 100)}.${process.pid}`);
  try {
    const file = openSync(temporary, 'wx');
    try {
      fillAndRename(file, content, temporary, target);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
  } catch (error) {
    if (!existsSync(dirname(target)))
      throw new UserError(`${path} cannot be written: there is no folder ${dirname(path)}.`, 1);
    throw explainedFile(error, `${path} cannot be written`);
  }
}

function fillAndRename(
  file: number,
  content: string | Uint8Array,
  temporary: string,
  target: string,
): void {
  try {
    writeFileSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, target);
}

/** The content of a JSON file that the user named. */
export function readJson(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw explainedFile(error, `${path} cannot be read`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const fault = printable(error.message.split('\n')[0]!);
    throw new UserError(`${path} is no JSON: ${fault}.`, 2, {
      cause: error,
    });
  }
}
