import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import Database from 'better-sqlite3';
import { UserError } from '../src/errors.ts';
import { acquireLease } from './lease.ts';
import { MIGRATIONS } from './migrations.ts';
import { defineLayerFunctions } from './standings.ts';

/** Marks a file as ours (`application_id` of SQLite's header): "evly". */
const APPLICATION_ID = 0x65766c79;

/** How long a statement waits for a lock of another connection. */
const PATIENCE_MS = 5000;

const version = (db: Database.Database): number =>
  db.pragma('user_version', { simple: true }) as number;

/** Throws a UserError unless `db` is empty or ours, and not of a newer program. Touches nothing. */
function checkOwner(db: Database.Database, path: string): void {
  const owner = db.pragma('application_id', { simple: true });
  const isEmpty = db.prepare('SELECT 1 FROM sqlite_schema').get() === undefined;
  if (owner !== APPLICATION_ID && !(isEmpty && version(db) === 0))
    throw new UserError(
      `${path} is a database, but not one of evolayer; name a file that evolayer wrote, or a new one.`,
      1,
    );
  if (version(db) > MIGRATIONS.length)
    throw new UserError(
      `The database ${path} has version ${version(db)}, and this evolayer knows versions up to ${MIGRATIONS.length}; use the newer evolayer that wrote it.`,
      1,
    );
}

/** Brings `db` to the newest version, whole or not at all. */
function migrate(db: Database.Database): void {
  const pending = MIGRATIONS.slice(version(db));
  if (pending.length === 0) return;
  db.transaction(() => {
    for (const migration of pending) db.exec(migration);
    db.pragma(`application_id = ${APPLICATION_ID}`);
    db.pragma(`user_version = ${MIGRATIONS.length}`);
  }).immediate();
}

/** A connection, and what has to be done when it is no longer needed. */
export interface Opened {
  readonly db: Database.Database;
  readonly close: () => void;
}

/** `use`, with `db` closed where it throws. */
function guarded(db: Database.Database, use: () => Opened): Opened {
  try {
    return use();
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Throws a UserError where no file can be at `path`. */
function checkPath(path: string): void {
  if (path === ':memory:') return;
  // SQLite would take it for a file that is gone when it is closed.
  if (path.trim() === '') throw new UserError('The database has no name; name a file.');
  const folder = dirname(resolve(path));
  if (!existsSync(folder))
    throw new UserError(`The database ${path} cannot be there: there is no folder ${folder}.`, 1);
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory())
    throw new UserError(`${path} is a folder; name a file in it for the database.`, 1);
}

/** Opens the database for its one writer, creating it where there is none. */
export function openForWriting(path: string): Opened {
  checkPath(path);
  try {
    return openAsWriter(path);
  } catch (error) {
    // What is missing is not the file, for it would be created.
    if (!(error instanceof Database.SqliteError && error.code.startsWith('SQLITE_CANTOPEN')))
      throw error;
    throw new UserError(
      `The database ${path} cannot be written; make it and its folder writable, or name another file.`,
      1,
      { cause: error },
    );
  }
}

function openAsWriter(path: string): Opened {
  const db = new Database(path, { timeout: PATIENCE_MS });
  return guarded(db, () => {
    checkOwner(db, path);
    const lease = path === ':memory:' ? { release: () => {} } : acquireLease(path);
    try {
      db.pragma('journal_mode = WAL');
      db.pragma('synchronous = NORMAL');
      db.pragma('foreign_keys = ON');
      // Again, now that nobody else can change it.
      checkOwner(db, path);
      defineLayerFunctions(db);
      migrate(db);
    } catch (error) {
      lease.release();
      throw error;
    }
    const close = () => {
      db.close();
      lease.release();
    };
    return { db, close };
  });
}

/** Opens the database as it is, of whatever version, to look what is in it. Throws SQLite's own errors. */
export function openForChecking(path: string): Opened {
  checkPath(path);
  if (!existsSync(path))
    throw new UserError(`There is no database ${path}; \`evolayer search\` writes one.`, 1);
  const db = readableConnection(path);
  return guarded(db, () => {
    checkOwner(db, path);
    defineLayerFunctions(db);
    return { db, close: () => db.close() };
  });
}

/** Opens the database for reading, also while somebody writes it. */
export function openForReading(path: string): Opened {
  const opened = openForChecking(path);
  const { db } = opened;
  if (version(db) === MIGRATIONS.length) return opened;
  // An older program's: bring it up to date first, which needs the writer's place.
  opened.close();
  openForWriting(path).close();
  return openForReading(path);
}

/**
 * SQLite reads a WAL database through an index file that it has to create beside it. In a folder where it
 * cannot, nobody can be writing either, and a copy in memory serves as well, once its header (bytes 18 and
 * 19, see sqlite.org/fileformat2.html) no longer asks for WAL.
 */
function readableConnection(path: string): Database.Database {
  const db = new Database(path, { readonly: true, timeout: PATIENCE_MS });
  try {
    db.pragma('user_version');
    return db;
  } catch (error) {
    db.close();
    const barred = /^SQLITE_(CANTOPEN|READONLY)/.test(
      error instanceof Database.SqliteError ? error.code : '',
    );
    if (!barred || existsSync(`${path}-wal`)) throw error;
    return new Database(readFileSync(path).fill(1, 18, 20), { readonly: true });
  }
}
