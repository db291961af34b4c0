import { openForChecking } from './open.ts';

/** What a command line can name of a database. */
export interface StoredNames {
  readonly runs: readonly { readonly id: number; readonly started: string }[];
  readonly protocols: readonly string[];
}

/** The names in a database of any version, which stays as it is. Throws SQLite's errors. */
export function storedNames(path: string): StoredNames {
  const { db, close } = openForChecking(path);
  try {
    return {
      runs: db.prepare('SELECT id, started FROM runs ORDER BY id DESC').all() as {
        id: number;
        started: string;
      }[],
      protocols: db.prepare('SELECT key FROM protocols ORDER BY key').pluck().all() as string[],
    };
  } finally {
    close();
  }
}
