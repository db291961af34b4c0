import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { openStore } from '../../db/store.ts';
import { ANCHORS } from '../../src/eval/anchors.ts';
import { TARGETS } from '../../src/export/targets.ts';
import { ZOO } from '../../src/graph/zoo.ts';
import { SEARCH_PRESETS } from '../../src/search/config.ts';
import { beginRun } from '../db/records.ts';
import { inProcess, PROGRAM, temporaryFolder } from './process.ts';

const values = async (...words: string[]) => {
  const { code, stdout, stderr } = await inProcess(['complete', '--', ...words]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const lines = stdout.split('\n').slice(0, -1);
  for (const line of lines) expect(line).toMatch(/^[^\t]+\t[^\t]*$/);
  return lines.map((line) => line.split('\t')[0]);
};

const zoo = ZOO.map(({ name }) => name);
const WORDS: readonly (readonly [words: readonly string[], values: readonly string[]])[] = [
  [['se'], ['search']],
  [['sta'], ['stats']],
  [['help', 'net'], ['networks']],
  [['search', '--preset', ''], Object.keys(SEARCH_PRESETS)],
  [
    ['search', '--algorithm', ''],
    ['evolution', 'random'],
  ],
  [
    ['search', '--space', ''],
    ['paper', 'activations'],
  ],
  [
    ['search', '--ops', 'add,s'],
    ['add,sigmoid', 'add,square', 'add,sqrt', 'add,std'],
  ],
  [
    ['search', '--initial-nodes', 'x,v'],
    ['x,v0', 'x,v1'],
  ],
  [['search', '--criterion', 'p'], ['pareto']],
  [['search', '--anchor', ''], [...ANCHORS.keys()]],
  [['search', '--anchor=mini-w'], ['mini-wide']],
  [['search', '--anchor', '=', 'mini-w'], ['mini-wide']],
  [['search', '--baseline', 'BN-ReLU,bn-s'], ['BN-ReLU,BN-SiLU']],
  [['search', '--log-level', 'w'], ['warn']],
  [['search', '--flip', '--ste'], ['--steps']],
  [
    ['runs', '--'],
    ['--check', '--db', '--json', '--help'],
  ],
  [['show', ''], zoo],
  [['show', 'EVONORM-B'], zoo.filter((name) => name.startsWith('EvoNorm-B'))],
  [['inspect', 'evonorm-s0'], ['EvoNorm-S0']],
  [
    ['inspect', 'DyT', '--s'],
    ['--seed', '--svg'],
  ],
  [['export', '--to', ''], Object.keys(TARGETS)],
  [
    ['completion', ''],
    ['bash', 'zsh', 'fish'],
  ],
  [
    ['study', ''],
    ['hashing', 'search'],
  ],
  [['study', 'search', '--arms', 'evolution-p'], ['evolution-pareto']],
  [['study', 'search', '--bi'], []],
  [['study', 'hashing', '--arms', 'functional,for'], ['functional,forgetful']],
  [
    ['data', ''],
    ['list', 'fetch', 'check'],
  ],
  [['data', 'fe'], ['fetch']],
  [
    ['data', 'fetch', 'cif'],
    ['cifar10', 'cifar100'],
  ],
  [['data', 'fetch', 'mnist', 'cifar100'], ['cifar100']],
  [['data', 'fetch', '--m'], ['--mirror']],
  [
    ['search', '--dataset', 'f'],
    ['fashion-mnist', 'fashion-mnist-full'],
  ],
  // Files, numbers, and what nobody knows.
  ...[
    ['search', '--db', ''],
    ['search', '--config', 'x'],
    ['search', '--steps', '1'],
  ].map((words) => [words, []] as const),
  ...[
    ['serch', '--'],
    ['show', 'x + '],
    ['show', '--nope', 'zzz'],
    ['data', 'steal', ''],
    ['data', 'fetch', '--mirror', ''],
  ].map((words) => [words, []] as const),
];

test.each(WORDS)('%j can become %j', async (words, expected) => {
  expect(await values(...words)).toEqual(expected);
});

test('every flag that the help of a command lists can be completed', async () => {
  const commands = await values('');
  expect(commands.length).toBeGreaterThan(10);
  for (const command of commands as string[]) {
    const { stdout } = await inProcess([command, '--help']);
    const listed = [...stdout.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(([, flag]) => flag);
    expect(await values(command, '--'), command).toEqual(listed);
  }
});

describe('names of a database', () => {
  function database() {
    const db = join(temporaryFolder(), 'x.db');
    const store = openStore(db);
    for (const key of ['abc', 'abd', 'zzz']) beginRun(store, key);
    store.close();
    return db;
  }

  test('are its runs, the youngest first, and its protocols', async () => {
    const db = database();
    expect(await values('stats', '--db', db, '')).toEqual(['3', '2', '1']);
    expect(await values('leaderboard', '--db', db, '--run', '2')).toEqual(['2']);
    expect(await values('leaderboard', '--db', db, '--protocol', 'ab')).toEqual(['abc', 'abd']);
  });

  test('are none where it is missing or damaged; one of another version stays as it is', async () => {
    const db = database();
    const absent = join(temporaryFolder(), 'absent.db');
    expect(await values('stats', '--db', absent, '')).toEqual([]);
    expect(existsSync(absent)).toBe(false);
    const raw = new Database(db);
    raw.pragma('user_version = 1');
    raw.close();
    const before = readFileSync(db);
    expect(await values('stats', '--db', db, '')).toEqual(['3', '2', '1']);
    expect(readFileSync(db).equals(before)).toBe(true);
    writeFileSync(db, before.fill(0xa5, 0, 200));
    expect(await values('stats', '--db', db, '')).toEqual([]);
  });
});

describe('a shell that sources the script', () => {
  /** A folder with the program under its name, and the script of a shell. */
  async function home(shell: string): Promise<string> {
    const folder = temporaryFolder();
    const program = join(folder, 'evolayer');
    writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`);
    chmodSync(program, 0o755);
    writeFileSync(join(folder, 'script'), (await inProcess(['completion', shell])).stdout);
    return folder;
  }

  const has = (shell: string) => spawnSync(shell, ['--version']).status === 0;

  function says(folder: string, [shell = '', ...args]: readonly string[]): string[] {
    const { PATH, ...env } = process.env;
    const { status, stdout, stderr } = spawnSync(shell, args, {
      ...{ cwd: folder, encoding: 'utf8' },
      env: { ...env, PATH: `${folder}:${PATH}`, HOME: folder },
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return stdout.split('\n').filter(Boolean);
  }

  test.runIf(has('bash'))('bash', async () => {
    const folder = await home('bash');
    const complete = (...words: string[]) => {
      const quoted = words.map((word) => `'${word}'`).join(' ');
      const line = `COMP_WORDS=(evolayer ${quoted}); COMP_CWORD=${words.length}; _evolayer`;
      // Twice: a shell may read its configuration again.
      const script = `source ./script; source ./script; ${line}; printf '%s\\n' "\${COMPREPLY[@]}"`;
      return says(folder, ['bash', '--norc', '-c', script]);
    };
    expect(complete('sta')).toEqual(['stats']);
    expect(complete('search', '--anchor', '=', 'mini-w')).toEqual(['mini-wide']);
    expect(complete('show', 'EvoNorm-B')).toEqual(['EvoNorm-B0', 'EvoNorm-B1', 'EvoNorm-B2']);
    expect(complete('search', '--db', '')).toEqual([]);
    expect(says(folder, ['bash', '--norc', '-c', '. ./script; complete -p evolayer'])).toEqual([
      'complete -o default -F _evolayer evolayer',
    ]);
  });

  test.runIf(has('zsh'))('zsh', async () => {
    const folder = await home('zsh');
    const complete = (...words: string[]) => {
      const quoted = words.map((word) => `'${word}'`).join(' ');
      // What zsh would show is printed instead.
      const script = `autoload -U compinit; compinit -u -D; source ./script
        _describe() { shift; print -l -- \${(P)1} }
        _files() { print files }
        words=(evolayer ${quoted}); CURRENT=${words.length + 1}; $_comps[evolayer]`;
      return says(folder, ['zsh', '-fc', script]);
    };
    expect(complete('sta')).toEqual([expect.stringMatching(/^stats:Tell how a run went\\?:/)]);
    expect(complete('search', '--preset', 'q')).toEqual(['quick:']);
    expect(complete('search', '--db', '')).toEqual(['files']);
  });

  test.runIf(has('fish'))('fish', async () => {
    const folder = await home('fish');
    const complete = (line: string) =>
      says(folder, ['fish', '--no-config', '-c', `source ./script; complete -C '${line}'`]);
    expect(complete('evolayer sta')).toEqual([expect.stringMatching(/^stats\tTell how a run/)]);
    expect(complete('evolayer show evonorm-b')).toHaveLength(3);
    expect(complete('evolayer search --preset q')).toEqual(['quick']);
    expect(complete('evolayer search --db ./scr')).toEqual(['./script']);
  });
});
