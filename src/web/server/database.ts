import { statSync } from 'node:fs';
import { openStore, type Store } from '../../../db/store.ts';
import { UserError } from '../../errors.ts';

/** The database that the dashboard shows: read alone, and opened again where another file took its place. */
export class ShownDatabase {
  readonly path: string;
  #open: { readonly store: Store; readonly file: number } | null = null;

  /** Throws a UserError where there is none that can be read. */
  constructor(path: string) {
    this.path = path;
    this.#current();
  }

  /** Answers a question from one state of the database. */
  ask<T>(question: (store: Store) => T): T {
    const store = this.#current();
    return store.snapshot(() => question(store));
  }

  /** Changes whenever somebody committed something. */
  version(): string {
    const store = this.#current();
    return `${this.#open?.file} ${store.course.version()}`;
  }

  close(): void {
    this.#open?.store.close();
    this.#open = null;
  }

  #current(): Store {
    const found = statSync(this.path, { throwIfNoEntry: false });
    if (found && this.#open?.file === found.ino) return this.#open.store;
    this.close();
    if (!found)
      throw new UserError(`There is no database ${this.path}; \`evolayer search\` writes one.`, 1);
    const store = openStore(this.path, { readonly: true, patience: PATIENCE_MS });
    this.#open = { store, file: found.ino };
    return store;
  }
}

/** Others wait while one question does. */
const PATIENCE_MS = 1000;
