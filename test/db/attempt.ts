// A process that opens the database named by its argument, to read it or to write it, and says what came of it.
// Permissions do not bind root, so it goes on as nobody, once everything is loaded: the checkout may be root's own.
import Database from 'better-sqlite3';
import { openStore } from '../../db/store.ts';

const NOBODY = 65534;

const [path, how] = process.argv.slice(2) as [string, string];
// The first database loads the addon.
new Database(':memory:').close();
if (process.getuid?.() === 0) {
  process.setgid?.(NOBODY);
  process.setuid?.(NOBODY);
}
try {
  const store = openStore(path, { readonly: how === 'read' });
  console.log(`runs ${store.runs.list().length}`);
} catch (error) {
  console.log(String(error));
}
