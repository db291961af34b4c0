import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { isBeingWritten } from '../../db/lease.ts';
import { MIGRATIONS } from '../../db/migrations.ts';
import { openStore, type StoreOptions } from '../../db/store.ts';
import { UserError } from '../../src/errors.ts';
import { runSearch } from '../../src/search/run.ts';
import { configOf, FakePool, searchIn, trajectory } from '../search/fake.ts';
import { beginRun, inFolder, settled, TIME } from './records.ts';

const complaint = (path: string, options?: StoreOptions): string => {
  try {
    openStore(path, options).close();
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
  throw new Error('expected a UserError');
};

const readonly = { readonly: true };

const fixture = (name: string) => fileURLToPath(new URL(name, import.meta.url));

describe('opening a database', () => {
  test('creates it at the newest version, and finds it again', () =>
    inFolder((folder) => {
      const path = join(folder, 'a.db');
      const store = openStore(path);
      beginRun(store);
      store.close();
      const db = new Database(path);
      expect(db.pragma('user_version', { simple: true })).toBe(MIGRATIONS.length);
      expect(db.pragma('journal_mode', { simple: true })).toBe('wal');
      db.close();
      expect(openStore(path).runs.list()).toHaveLength(1);
    }));

  test('brings a database without tables up to date, also for a reader', () =>
    inFolder((folder) => {
      const path = join(folder, 'empty.db');
      writeFileSync(path, '');
      const store = openStore(path, readonly);
      expect(store.runs.list()).toEqual([]);
      expect(() => beginRun(store)).toThrow(/is read-only/);
    }));

  test('refuses files that are none of ours', () =>
    inFolder((folder) => {
      const text = join(folder, 'notes.txt');
      writeFileSync(text, 'x'.repeat(5000));
      const foreign = join(folder, 'foreign.db');
      new Database(foreign).exec('CREATE TABLE t (a)').close();
      const newer = join(folder, 'newer.db');
      openStore(newer).close();
      new Database(newer).exec(`PRAGMA user_version = ${MIGRATIONS.length + 3}`).close();
      for (const options of [{}, readonly]) {
        expect(complaint(text, options)).toMatch(/notes.txt is not a database; /);
        expect(complaint(foreign, options)).toMatch(/is a database, but not one of evolayer; /);
        const known = MIGRATIONS.length;
        expect(complaint(newer, options)).toContain(
          `has version ${known + 3}, and this evolayer knows versions up to ${known}; `,
        );
        expect(complaint(folder, options)).toMatch(/is a folder; /);
      }
      expect(complaint(join(folder, 'no', 'a.db'))).toMatch(/cannot be there: there is no folder/);
      expect(complaint(join(folder, 'a.db'), readonly)).toMatch(/There is no database .*a.db; /);
      expect(existsSync(join(folder, 'a.db'))).toBe(false);
      expect(existsSync(`${text}-writer`)).toBe(false);
    }));

  test('finds a damaged database', () =>
    inFolder((folder) => {
      const path = join(folder, 'a.db');
      const store = openStore(path);
      store.commit(beginRun(store), [settled(0)], TIME);
      store.close();
      const db = new Database(path);
      db.unsafeMode().pragma('writable_schema = ON');
      db.exec("UPDATE sqlite_schema SET rootpage = 9999 WHERE name = 'runs'");
      db.close();
      expect(complaint(path)).toMatch(/is damaged; /);
    }));
});

describe('the one writer', () => {
  test('keeps a second one out, lets readers in, and leaves when it is done', () =>
    inFolder((folder) => {
      const path = join(folder, 'a.db');
      const writer = openStore(path);
      expect(isBeingWritten(path)).toBe(true);
      expect(complaint(path)).toMatch(/Another evolayer is writing .*a.db; /);
      const reader = openStore(path, readonly);
      beginRun(writer);
      expect(reader.runs.list()).toHaveLength(1);
      writer.close();
      expect(isBeingWritten(path)).toBe(false);
      reader.close();
      openStore(path).close();
      expect(readdirSync(folder).sort()).toEqual(['a.db', 'a.db-writer']);
    }));

  test('that is killed leaves what it committed and no lock', () =>
    inFolder(async (folder) => {
      const path = join(folder, 'a.db');
      const child = spawn(process.execPath, ['--import', 'tsx', fixture('writer.ts'), path], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const last = await killAfter(child, 25, () => {
        expect(complaint(path)).toMatch(/Another evolayer is writing/);
        expect(isBeingWritten(path)).toBe(true);
      });
      expect(isBeingWritten(path)).toBe(false);
      const store = openStore(path);
      const stored = [...store.candidates.ofRun(1)].map(({ index }) => index);
      expect(stored).toEqual(Array.from({ length: stored.length }, (_, i) => i));
      expect(stored.length).toBeGreaterThan(last);
      expect(store.evaluations.ofFunction('p1', `f${last}`)).toHaveLength(2);
      store.close();
    }));
});

/** Reads what the child committed; after `count` lines calls `meanwhile`, then kills it. The last index it named. */
async function killAfter(
  child: ChildProcess,
  count: number,
  meanwhile: () => void,
): Promise<number> {
  const gone = once(child, 'exit');
  let last = -1;
  for await (const line of createInterface({ input: child.stdout! })) {
    last = Number(line);
    if (last !== count) continue;
    meanwhile();
    child.kill('SIGKILL');
  }
  await gone;
  return last;
}

describe('a database that cannot grow', () => {
  test('stops the run with a sentence; it goes on once there is space', () =>
    inFolder(async (folder) => {
      const path = join(folder, 'a.db');
      const config = configOf();
      const reference = await searchIn({ config });
      const small = openStore(path, { maxPages: 32 });
      const run = runSearch({ config, store: small, pool: new FakePool(2) });
      await expect(run).rejects.toThrow(/There is no space left for the database .*a.db; /);
      await expect(run).rejects.toBeInstanceOf(UserError);
      const stored = trajectory(small, 1);
      expect(stored.length).toBeGreaterThan(0);
      expect(stored).toEqual(reference.candidates.slice(0, stored.length));
      small.close();
      const store = openStore(path);
      await runSearch({ config, store, pool: new FakePool(2), runId: 1 });
      expect(trajectory(store, 1)).toEqual(reference.candidates);
      store.close();
    }));
});

// Permissions do not bind root, so this happens in a process that is an ordinary user.
describe('a read-only database', () => {
  test('can be read; writing is refused with a sentence', () =>
    inFolder(async (folder) => {
      const path = join(folder, 'a.db');
      const store = openStore(path);
      beginRun(store);
      store.close();
      chmodSync(path, 0o444);
      chmodSync(folder, 0o555);
      expect(await attempt(path, 'read')).toBe('runs 1');
      expect(await attempt(path, 'write')).toMatch(/^UserError: .* is read-only; /);
      expect(await attempt(join(folder, 'new.db'), 'write')).toMatch(
        /^UserError: The database .*new\.db cannot be written; make it and its folder writable/,
      );
      chmodSync(folder, 0o755);
    }));
});

async function attempt(path: string, how: 'read' | 'write'): Promise<string> {
  const child = spawn(process.execPath, ['--import', 'tsx', fixture('attempt.ts'), path, how], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const gone = once(child, 'exit');
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout! })) lines.push(line);
  await gone;
  return lines.join('\n');
}
