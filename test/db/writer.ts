// A process that opens the database named by its argument, says so, and commits one candidate after the
// other, naming each, until it is killed.
import { openStore } from '../../db/store.ts';
import { beginRun, settled, TIME } from './records.ts';

const store = openStore(process.argv[2] as string);
const run = beginRun(store);
for (let index = 0; index < 100_000; index++) {
  store.commit(run, [settled(index)], TIME);
  process.stdout.write(`${index}\n`);
  // A pipe that is full makes the next turn wait, so the reader sets the pace.
  await new Promise((resolve) => process.stdout.write('', resolve));
}
