import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import Database from 'better-sqlite3';
import { beforeAll, describe, expect, test } from 'vitest';
import { openStore } from '../../db/store.ts';
import { quoted } from '../../src/cli/output.ts';
import { packageRoot } from '../../src/eval/package-root.ts';
import { type Ended, evolayer, PROGRAM, start, TINY, temporaryFolder } from '../cli/process.ts';
import { childrenOf, contentOf, sigkill } from './killing.ts';
import { copyOfPackage, corrupt, type Misdeed, openGate } from './package.ts';

/** The rows of the table in docs/reliability.md: what happens, and the sentences that are to be seen. */
const ROWS = new Map(
  readFileSync(join(packageRoot(), 'docs/reliability.md'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| what happens'))
    .map((line) => line.slice(2, -2).split(' | '))
    .map(([what, , seen]) => [
      what as string,
      [...(seen as string).matchAll(/`([^`]+)`/g)].map(([, sentence]) => sentence as string),
    ]),
);
const tested = new Set<string>();

/** A test of one row: what `cause` returns must have the sentences of the row, in order. */
const row = (what: string, cause: () => Promise<string>) => {
  tested.add(what);
  test(
    what,
    async () => {
      const seen = await cause();
      for (const sentence of ROWS.get(what) ?? []) expect(seen).toMatch(patternOf(sentence));
    },
    BUSY_MS,
  );
};

/** Several programs one after the other, on a machine that may have other things to do. */
const BUSY_MS = 120_000;

/** `<…>` stands for anything. */
const patternOf = (sentence: string): RegExp =>
  new RegExp(
    `^${sentence
      .split(/<[^>]*>/)
      .map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
      .join('.+')}$`,
    'm',
  );

/** Proposals do not depend on results, so that one that is given up leaves the others as they are. */
const SEARCH = [
  ...['search', ...TINY, '--proposals', '24', '--seed', '5', '--lookahead', '12'],
  ...['--algorithm', 'random', '--baseline', 'BN-ReLU', '--workers', '2'],
];

interface Row {
  readonly functional_key: string | null;
  readonly idx: number;
  readonly repeat: number | null;
  readonly outcome: string;
  readonly numbers: string;
}

const rowsOf = (db: string): Row[] =>
  contentOf(db).candidates!.map((text) => JSON.parse(text) as Row);

/** The run without any fault, and the functions that it evaluates. */
let healthy: { readonly rows: Row[]; readonly functions: string[] };

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'evolayer-'));
  const db = join(folder, 'healthy.db');
  expect(await evolayer([...SEARCH, '--db', db])).toMatchObject({ code: 0 });
  const rows = rowsOf(db);
  rmSync(folder, { recursive: true });
  const evaluated = rows.filter(({ repeat, idx }) => repeat !== null && idx >= 0);
  healthy = { rows, functions: evaluated.map((one) => one.functional_key as string) };
  expect(healthy.functions.length).toBeGreaterThan(3);
});

/** A copy of the package with candidates that misbehave, and the arguments of a search in it. */
function badPackage(misdeeds: Record<string, Misdeed>) {
  const folder = temporaryFolder();
  const copy = copyOfPackage(folder);
  corrupt(copy, misdeeds);
  const db = join(folder, 'x.db');
  return { copy, db, args: [...SEARCH, '--db', db], program: copy.program };
}

const linesWith = ({ stderr }: Ended, text: string) =>
  stderr.split('\n').filter((line) => line.includes(text));

/**
 * One candidate misbehaves always, another one the first time: the run goes on to its end, the first one is
 * stored as crashed, and everything else is as if nothing had happened.
 */
async function survived(
  misdeed: string,
  message: string,
  { times = 1, more = [] as string[] } = {},
): Promise<string> {
  const [guilty, unlucky] = healthy.functions as [string, string];
  const misdeeds = { [guilty]: { misdeed }, [unlucky]: { misdeed, times } };
  const { db, args, program } = badPackage(misdeeds);
  const ended = await evolayer([...args, ...more], { program });
  expect(ended).toMatchObject({ code: 0 });
  const crashed = { outcome: 'crashed', numbers: JSON.stringify({ message }), fitness: null };
  expect(rowsOf(db)).toEqual(
    healthy.rows.map((one) => (one.functional_key === guilty ? { ...one, ...crashed } : one)),
  );
  expect(ended.stdout).toMatch(/crashed \d/);
  expect(linesWith(ended, message).length).toBeGreaterThanOrEqual(2);
  return ended.stderr;
}

describe('a fault of a candidate', () => {
  row("a candidate's code throws an error", () => survived('throw', 'no luck'));
  row("a candidate's thread exits", () =>
    survived('exit', 'the thread ended itself with exit code 3'),
  );
  row("a candidate's thread runs out of heap", () =>
    survived('heap', 'the thread needed more than 512 MB of heap'),
  );
  row("there is no memory for a candidate's network", () =>
    survived('shortage', 'A network of 9 MB cannot be set up: not enough memory.'),
  );
  row('a candidate hangs', () =>
    survived('spin', 'no answer within 4 s', { more: ['--timeout', '2'] }),
  );
  row('a candidate hangs in native code', () =>
    survived('gate', 'no answer within 4 s', { more: ['--timeout', '2'] }),
  );
  row('native code crashes', () => survived('segfault', 'the worker process ended with SIGSEGV'));
  row('the worker process is killed, by a person or for want of memory', () =>
    survived('kill', 'the worker process was killed', { times: 2 }),
  );
});

/** Fails, and saves nothing but what is as in the healthy run; then goes on to the same end. */
async function stopped(ended: Ended, db: string): Promise<string> {
  expect(ended.code).toBe(1);
  const rows = rowsOf(db);
  expect(rows).toEqual(healthy.rows.slice(0, rows.length));
  expect(rows.length).toBeLessThan(healthy.rows.length);
  await completes(db);
  return ended.stderr;
}

async function completes(db: string): Promise<void> {
  expect(await evolayer(['resume', '1', '--db', db])).toMatchObject({ code: 0 });
  expect(rowsOf(db)).toEqual(healthy.rows);
}

describe('a fault of the machine or the installation', () => {
  row('evaluations crash one after the other', async () => {
    const { db, args, program } = badPackage({ '*': { misdeed: 'throw' } });
    return stopped(await evolayer(args, { program }), db);
  });

  row('the worker process cannot start', async () => {
    const folder = temporaryFolder();
    const { program } = copyOfPackage(folder);
    const db = join(folder, 'x.db');
    const worker = "process.kill(process.pid, 'SIGSEGV'); for (;;) Math.random();";
    writeFileSync(join(folder, 'dist/workers/evaluate.js'), worker);
    return stopped(await evolayer([...SEARCH, '--db', db], { program }), db);
  });

  row('the native engine is missing', async () => {
    const folder = temporaryFolder();
    const { program } = copyOfPackage(folder);
    rmSync(join(folder, 'build'));
    return withoutEngine(program, folder);
  });

  row('the native engine is damaged', async () => {
    const folder = temporaryFolder();
    const { program } = copyOfPackage(folder, ['build']);
    writeFileSync(join(folder, 'build/Release/evolayer.node'), 'not an addon');
    return withoutEngine(program, folder);
  });

  row('the data set is damaged', async () => {
    const folder = temporaryFolder();
    const { program } = copyOfPackage(folder, ['data']);
    truncateSync(join(folder, 'data/fashion-mnist/t10k-images-idx3-ubyte.gz'), 100_000);
    return failed(await evolayer([...SEARCH, '--db', join(folder, 'x.db')], { program }));
  });

  row('the data set is not here', async () => {
    const folder = temporaryFolder();
    const args = [...SEARCH, '--dataset', 'cifar10', '--pool', '8', '--db', join(folder, 'x.db')];
    return failed(await evolayer(args, { env: { EVOLAYER_DATA: folder } }));
  });

  row('the disk is full', async () => {
    const { folder, program } = copyOfPackage(temporaryFolder());
    const db = join(folder, 'x.db');
    openStore(db).close();
    // SQLite says the same of a database that has reached this size and of a full disk.
    const pages = statSync(db).size / PAGE + 2;
    edit(join(folder, 'dist/db/store.js'), 'maxPages,', `maxPages = ${pages},`);
    return stopped(await evolayer([...SEARCH, '--db', db], { program }), db);
  });

  row('a file may not grow (`ulimit -f`)', async () => {
    const db = join(temporaryFolder(), 'x.db');
    const command = ['-c', `ulimit -f ${SMALL}; exec "$@"`, 'bash', process.execPath, PROGRAM];
    const result = spawnSync('bash', [...command, ...SEARCH, '--db', db], { encoding: 'utf8' });
    return stopped({ ...result, code: result.status }, db);
  });

  row('the database is locked by another program', async () => {
    const { db, copy, search } = await searchAtGate();
    const other = new Database(db);
    other.exec('BEGIN IMMEDIATE');
    await openGate(copy);
    await search.says('is locked by another program');
    other.exec('ROLLBACK');
    other.close();
    const { code, stderr } = await search.ended;
    expect(code).toBe(0);
    expect(rowsOf(db)).toEqual(healthy.rows);
    return stderr;
  });

  row('another evolayer is writing the database', async () => {
    const { db, copy, search } = await searchAtGate();
    const second = await evolayer([...SEARCH, '--db', db]);
    await openGate(copy);
    expect(await search.ended).toMatchObject({ code: 0 });
    expect(rowsOf(db)).toEqual(healthy.rows);
    return failed(second);
  });

  row('the database is damaged', async () => {
    const db = join(temporaryFolder(), 'x.db');
    expect(await evolayer([...SEARCH, '--db', db])).toMatchObject({ code: 0 });
    const content = readFileSync(db);
    writeFileSync(db, content.fill(0xff, 2 * PAGE));
    const resumed = await evolayer(['resume', '1', '--proposals', '50', '--db', db]);
    const checked = await evolayer(['runs', '--check', '--db', db]);
    expect(checked.code).toBe(1);
    expect(readFileSync(db)).toEqual(content);
    return failed(resumed) + checked.stdout;
  });
});

function edit(file: string, from: string, to: string): void {
  const text = readFileSync(file, 'utf8');
  expect(text).toContain(from);
  writeFileSync(file, text.replace(from, to));
}

/** The largest file, in KiB, that a search may write that is to run out of space; a whole run needs more. */
const SMALL = 240;
/** Of a database. */
const PAGE = 4096;

/** What a search says where it takes another engine, and what where it may not. */
async function withoutEngine(program: string, folder: string): Promise<string> {
  const search = [...SEARCH, '--proposals', '1', '--db', join(folder, 'x.db')];
  const replaced = await evolayer(search, { program });
  expect(replaced.code).toBe(0);
  return replaced.stderr + failed(await evolayer([...search, '--engine', 'native'], { program }));
}

function failed({ code, stderr }: Ended): string {
  expect(code).toBe(1);
  return stderr;
}

const searchWithGate = () =>
  badPackage({ [healthy.functions[0] as string]: { misdeed: 'gate', times: 1 } });

/** A search in the middle of a run: it has saved something, and one candidate waits at the gate. */
async function searchAtGate() {
  const { copy, db, args, program } = searchWithGate();
  const search = start(args, { program });
  await search.says('BN-ReLU: ');
  return { copy, db, search };
}

/** Ended as if nothing had happened; returns the list of runs. */
async function wentOn({ code }: Ended, db: string): Promise<string> {
  expect(code).toBe(0);
  expect(rowsOf(db)).toEqual(healthy.rows);
  return (await evolayer(['runs', '--json', '--db', db])).stdout;
}

/** A program in a terminal of its own, which can be closed. */
function inTerminal(command: readonly string[]) {
  const line = command.map(quoted).join(' ');
  const args =
    process.platform === 'linux' ? ['-qec', line, '/dev/null'] : ['-q', '/dev/null', ...command];
  // The last pipe is there to be inherited: it ends when the program has left.
  // The last pipe is there to be inherited: it ends when the program has left.
  const terminal = spawn('script', args, { stdio: ['ignore', 'pipe', 'inherit', 'pipe'] });
  const screen = terminal.stdout as Readable;
  const left = once((terminal.stdio[3] as Readable).resume(), 'end');
  const shows = async (text: string) => {
    for (let seen = ''; !seen.includes(text); ) seen += (await once(screen, 'data'))[0];
    screen.resume();
  };
  return { left, shows, close: () => terminal.kill('SIGKILL') };
}

describe('the end of the program', () => {
  for (const [what, signal] of [
    ['Ctrl-C', 'SIGINT'],
    ['SIGTERM', 'SIGTERM'],
  ] as const)
    row(what, async () => {
      const { db, search } = await searchAtGate();
      search.process.kill(signal);
      const { code, stderr } = await search.ended;
      expect(code).toBe(130);
      await completes(db);
      return stderr;
    });

  row('a second Ctrl-C or SIGTERM', async () => {
    const { db, search } = await searchAtGate();
    search.process.kill('SIGINT');
    await search.says('Stopping');
    search.process.kill('SIGTERM');
    const { code, stderr } = await search.ended;
    expect(code).toBe(130);
    await completes(db);
    return stderr;
  });

  row('the terminal that shows the progress is closed', async () => {
    const { db, args, program } = searchWithGate();
    const terminal = inTerminal([process.execPath, program, ...args]);
    await terminal.shows('BN-ReLU');
    terminal.close();
    await terminal.left;
    const { stdout } = await evolayer(['runs', '--json', '--db', db]);
    await completes(db);
    return stdout;
  });

  row('the terminal is closed, and the progress goes elsewhere (`nohup`, or a file)', async () => {
    const { db, copy, search } = await searchAtGate();
    search.process.kill('SIGHUP');
    await openGate(copy);
    return wentOn(await search.ended, db);
  });

  row(
    'the progress can no longer be shown (its reader is gone, the disk of its file full)',
    async () => {
      const { db, copy, search } = await searchAtGate();
      search.process.stderr?.destroy();
      await openGate(copy);
      const unread = await wentOn(await search.ended, db);
      if (!existsSync('/dev/full')) return unread;
      const onFull = join(temporaryFolder(), 'x.db');
      const command = ['-c', 'exec "$@" 2> /dev/full', 'bash', process.execPath, PROGRAM];
      const result = spawnSync('bash', [...command, ...SEARCH, '--db', onFull], {
        encoding: 'utf8',
      });
      return wentOn({ ...result, code: result.status }, onFull);
    },
  );

  row('all processes are killed (kill -9, power cut)', async () => {
    const { db, search } = await searchAtGate();
    const pid = search.process.pid as number;
    for (const one of [...childrenOf(pid), pid]) sigkill(one);
    await search.ended;
    const { stdout } = await evolayer(['runs', '--json', '--db', db]);
    await completes(db);
    return stdout;
  });
});

test('every row of the table is tested, and every test has its row', () => {
  expect([...ROWS.keys()]).toEqual([...tested]);
  for (const sentences of ROWS.values()) expect(sentences.length).toBeGreaterThan(0);
});
