import { existsSync } from 'node:fs';
import { openStore, type Store } from '../../db/store.ts';

/** Answers a question from one state of the database at `path`. */
export function reading<T>(path: string, ask: (store: Store) => T): T {
  const store = openStore(path, { readonly: true });
  try {
    return store.snapshot(() => ask(store));
  } finally {
    store.close();
  }
}

/** The same, and null where there is no database. */
export const readingIfThere = <T>(path: string, ask: (store: Store) => T): T | null =>
  existsSync(path) ? reading(path, ask) : null;
