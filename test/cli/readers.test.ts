import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { openStore } from '../../db/store.ts';
import { start, TINY, temporaryFolder } from './process.ts';

const READER = fileURLToPath(new URL('../db/reader.ts', import.meta.url));

const look = z.strictObject({ count: z.int(), digest: z.string(), missing: z.int() });

/** A process that looks at the database over and over from `go` on, until `stop` ends it and says what it saw. */
async function reader(db: string) {
  const child = spawn(process.execPath, ['--import', 'tsx', READER, db], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let lines = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    lines += text;
  });
  const closed = once(child, 'close');
  await once(child.stdout, 'data');
  const stop = async () => {
    child.stdin.end();
    const [code] = await closed;
    expect(code).toBe(0);
    const [ready, ...looks] = lines.trim().split('\n');
    expect(ready).toBe('ready');
    return looks.map((line) => look.parse(JSON.parse(line)));
  };
  return { go: () => child.stdin.write('go\n'), stop };
}

test('what readers see of a run while it is at work is always a whole prefix of it', async () => {
  const db = join(temporaryFolder(), 'x.db');
  const size = [
    '--proposals',
    '400',
    '--baseline',
    'bn-relu',
    '--workers',
    '2',
    '--lookahead',
    '8',
  ];
  const readers = await Promise.all([reader(db), reader(db)]);
  const search = start(['search', ...TINY, ...size, '--db', db]);
  await search.says('run 1');
  for (const { go } of readers) go();
  const { code } = await search.ended;
  expect(code).toBe(0);
  const looks = (await Promise.all(readers.map(({ stop }) => stop()))).flat();

  const store = openStore(db, { readonly: true });
  const digests = [createHash('sha256').digest('hex')];
  const digest = createHash('sha256');
  for (const candidate of store.candidates.ofRun(1)) {
    digest.update(JSON.stringify(candidate));
    digests.push(digest.copy().digest('hex'));
  }
  store.close();
  for (const { count, digest, missing } of looks) {
    expect(digest).toBe(digests[count]);
    expect(missing).toBe(0);
  }
  const counts = new Set(looks.map(({ count }) => count));
  // Readers that looked before, or after, would have shown nothing.
  expect([...counts].filter((count) => count < digests.length - 1).length).toBeGreaterThan(3);
});
