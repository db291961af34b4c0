// A process that says that it is ready, and from the first word on its standard input until that ends looks
// at run 1 of the database named by its argument, again and again: for every look a line with how many candidates there were, a digest of all of them, and how
// many of those that were trained had no evaluation.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { openStore, type Store } from '../../db/store.ts';

const path = process.argv[2] as string;

function look(store: Store): string {
  const digest = createHash('sha256');
  let [count, missing] = [0, 0];
  for (const candidate of store.candidates.ofRun(1)) {
    digest.update(JSON.stringify(candidate));
    count++;
    const { functionalKey, repeat } = candidate;
    if (functionalKey === null || repeat === null) continue;
    const past = store.history.ofFunction(functionalKey);
    if (!past.some((evaluation) => evaluation.repeat === repeat)) missing++;
  }
  return JSON.stringify({ count, digest: digest.digest('hex'), missing });
}

const write = (line: string) =>
  new Promise((resolve) => process.stdout.write(`${line}\n`, resolve));

let ended = false;
process.stdin.on('end', () => {
  ended = true;
});
await write('ready');
await once(process.stdin, 'data');
while (!ended) {
  const store = openStore(path, { readonly: true });
  const line = store.snapshot(() => look(store));
  store.close();
  await write(line);
  await setImmediate();
}
