// A process that opens the database named by its argument, to read it or to write it, and says what came of it.
import { openStore } from '../../db/store.ts';

const [path, how] = process.argv.slice(2) as [string, string];
try {
  const store = openStore(path, { readonly: how === 'read' });
  console.log(`runs ${store.runs.list().length}`);
} catch (error) {
  console.log(String(error));
}
