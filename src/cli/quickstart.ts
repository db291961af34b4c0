/* `npm start`: a small search into a database of its own, what it found, and one layer as a file. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { leaderboardIn } from '../reading/leaderboard.ts';
import { reading } from '../reading/open.ts';
import { exportLayer } from './commands/export.ts';
import { leaderboard } from './commands/leaderboard.ts';
import { search } from './commands/search.ts';
import { report } from './errors.ts';
import { outColours, print, surviveOutput } from './output.ts';

const title = (text: string) => print(`\n${outColours.bold(text)}`);

async function quickstart() {
  const time = new Date().toISOString().slice(0, 19).replaceAll(':', '').replace('T', '-');
  const folder = join('runs', time);
  mkdirSync(folder, { recursive: true });
  const db = join(folder, 'evolayer.db');

  title('Searching: evolayer search --preset quick');
  const summary = await search({ preset: 'quick', db });

  title('Leaderboard: what was found, and the known layers under the same protocol');
  leaderboard({ db, top: 10 });

  const { entries } = reading(db, (store) => leaderboardIn(store, { top: 1000 }));
  const found = entries.find(({ name }) => name === null);
  if (!found || !summary) return print('No new layer was good enough this time.');
  title(`The best discovered layer, ${found.id}, as a PyTorch module`);
  const output = join(folder, `${found.id}.py`);
  await exportLayer(found.id, { db, to: 'pytorch', output });

  title('Next');
  print(`  npx evolayer show ${found.id} --db ${db}`);
  print(`  npx evolayer evaluate ${found.id} --db ${db} --steps 1000`);
  print('  npx evolayer search --proposals 5000 --db evolayer.db');
}

surviveOutput();
try {
  await quickstart();
} catch (error) {
  process.exitCode = report(error);
}
