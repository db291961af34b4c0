import { existsSync } from 'node:fs';
import Database from 'better-sqlite3';
import { UserError } from '../src/errors.ts';

/** How long a writer waits for another one that is just ending, or for a reader that asks who writes. */
const PATIENCE_MS = 200;

const lockFile = (path: string) => `${path}-writer`;

/** Runs `statement` on `lock`; closes it and returns null where somebody's lock forbids that. */
function lockedBy(statement: string, lock: Database.Database): Database.Database | null {
  try {
    lock.exec(statement);
    return lock;
  } catch (error) {
    lock.close();
    if (error instanceof Database.SqliteError && error.code === 'SQLITE_BUSY') return null;
    throw error;
  }
}

/**
 * The right to write the database at `path`, held until it is released or the process ends, however it
 * ends: an exclusive lock on an empty database beside it, which the operating system lets go of with the
 * process. (A lock on the database itself would shut the readers out.) The empty file stays.
 */
export function acquireLease(path: string): { readonly release: () => void } {
  const lock = lockedBy('BEGIN EXCLUSIVE', new Database(lockFile(path), { timeout: PATIENCE_MS }));
  if (!lock)
    throw new UserError(
      `Another evolayer is writing ${path}; wait until it is done, or use another file.`,
      1,
    );
  return { release: () => lock.close() };
}

/** True while some process holds the lease. */
export function isBeingWritten(path: string): boolean {
  if (!existsSync(lockFile(path))) return false;
  const options = { readonly: true, timeout: 0 };
  const lock = lockedBy('SELECT 1 FROM sqlite_schema', new Database(lockFile(path), options));
  lock?.close();
  return lock === null;
}
