import Database from 'better-sqlite3';
import { UserError } from '../src/errors.ts';

/** What users are told, by the beginning of SQLite's error code; the longest match counts. */
const SENTENCES: readonly (readonly [code: string, sentence: (path: string) => string])[] = [
  [
    'SQLITE_NOTADB',
    (path) => `${path} is not a database; name a file that evolayer wrote, or a new one.`,
  ],
  [
    'SQLITE_CORRUPT',
    (path) => `The database ${path} is damaged; restore a copy of it, or search into a new file.`,
  ],
  [
    'SQLITE_READONLY',
    (path) =>
      `The database ${path} is read-only; make the file and its folder writable, or name another one.`,
  ],
  [
    'SQLITE_CANTOPEN',
    (path) =>
      `The database ${path} cannot be opened; name a readable file in a folder that exists.`,
  ],
  [
    'SQLITE_BUSY',
    (path) => `The database ${path} is locked by another program; try again when that is done.`,
  ],
  [
    'SQLITE_FULL',
    (path) =>
      `There is no space left for the database ${path}; everything committed so far is saved, so free some space and go on.`,
  ],
  [
    'SQLITE_IOERR',
    (path) =>
      `The database ${path} cannot be read or written (disk full or failing); everything committed so far is saved.`,
  ],
  ['SQLITE_PERM', (path) => `There is no permission to use the database ${path}.`],
];

/** SQLite's errors as sentences for the user, where a user can cause them; anything else as it is. */
export function explained(error: unknown, path: string): unknown {
  if (!(error instanceof Database.SqliteError)) return error;
  const found = SENTENCES.find(([code]) => error.code.startsWith(code));
  return found ? new UserError(found[1](path), 1, { cause: error }) : error;
}

/** Runs `work` on the database at `path`, with SQLite's errors explained. */
export function explaining<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw explained(error, path);
  }
}

/** True for the error of a statement that met damaged content. */
export const isDamage = (error: unknown): boolean =>
  error instanceof Database.SqliteError && error.code.startsWith('SQLITE_CORRUPT');

/** True for the error of a statement that met another program's lock, explained or not. */
export function isLocked(error: unknown): boolean {
  const cause = error instanceof UserError ? error.cause : error;
  return cause instanceof Database.SqliteError && cause.code.startsWith('SQLITE_BUSY');
}
