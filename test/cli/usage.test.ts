import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../src/eval/package-root.ts';
import { type Ended, evolayer, inProcess, TINY, temporaryFolder } from './process.ts';

/** What every mistake of a user looks like: one sentence, no stack, nothing on standard output. */
function expectRefusal({ code, stdout, stderr }: Ended, exitCode: 1 | 2, says: RegExp) {
  expect(stderr).toMatch(says);
  expect(stderr).not.toMatch(/^\s+at |internal/m);
  expect(stderr.match(/^error: /gm)).toHaveLength(1);
  expect(stdout).toBe('');
  expect(code).toBe(exitCode);
}

describe('help', () => {
  test('is on standard output, and names every command and the exit codes', async () => {
    const { code, stdout } = await inProcess(['--help']);
    expect(code).toBe(0);
    for (const command of 'search resume runs stats config leaderboard show inspect evaluate zoo networks export study'.split(
      ' ',
    ))
      expect(stdout).toMatch(new RegExp(`^ {2}${command} `, 'm'));
    expect(stdout).toMatch(/0 done, 1 failed, 2 wrong usage.*130 interrupted/);
  });

  test('the version is the package’s', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect((await inProcess(['--version'])).stdout).toBe(`${version}\n`);
  });

  test('no command at all is wrong usage', async () => {
    expect((await inProcess([])).code).toBe(2);
  });
});

const WRONG_USAGE: readonly (readonly [args: readonly string[], says: RegExp])[] = [
  [['serch'], /unknown command 'serch'\s*\(Did you mean search\?\)/],
  [['search', '--proposal', '3'], /unknown option '--proposal'\s*\(Did you mean --proposals\?\)/],
  [['show'], /missing required argument 'layer'/],
  [['inspect'], /missing required argument 'layers'/],
  [['inspect', 'x', '--depth', '0'], /depth is 0; it must be a whole number from 1 to 300\.$/m],
  [['inspect', 'x', '--width', 'wide'], /width is "wide"; it must be a whole number/],
  [['inspect', 'x', '--depth', '300', '--width', '256'], /GB of memory; with fewer blocks/],
  [['inspect', ...'abcdefg'.split('').map(() => 'x')], /7 layers are too many to inspect/],
  [['search', '--steps'], /'--steps <n>' argument missing/],
  [['show', 'x * 0.5'], /the number 0\.5 cannot stand in a layer.*\n {2}x \* 0\.5\n {6}\^\n$/],
  [['show', 'x * sinh(x)'], /unknown op "sinh".*\n {2}x \* sinh\(x\)\n {6}\^\n$/],
  [['show', 'x +'], /\n {2}x \+\n {5}\^\n$/],
  [['show', ''], /the formula is empty/],
  [['show', 'EvoNormS0'], /Did you mean EvoNorm-S0\?/],
  [['export', 'DyT'], /Say what to write: --to TARGET \(pytorch, .*\), or --all-formats FOLDER/],
  [['export', 'DyT', '--to', 'dot', '--all-formats', 'x'], /Say what to write/],
  [['export', 'DyT', '--all-formats', 'x', '-o', 'y'], /--output names the file of --to/],
  [['export', 'DyT', '--to', 'pytorch', '--check'], /--check runs a file; name it with --output/],
  [['import'], /missing required argument 'file'/],
  [['export', 'DyT', '--to', 'jax'], /--to is "jax"; it must be one of pytorch, .*json/],
  [['export', 'x - x', '--to', 'json'], /nothing to export/],
  [['evaluate', 'DyT', '--anchor', 'mini-wyde'], /"mini-wyde".*Did you mean mini-wide\?/],
  [['evaluate', 'DyT', '--preset', 'quik'], /preset "quik".*Did you mean quick\?/],
  [
    ['evaluate', 'DyT', '--dataset', 'mnits'],
    /"mnits"; it must be one of fashion-mnist, .* or the path of an \.npz file\. Did you mean mnist\?/,
  ],
  [['evaluate', 'DyT', '--steps', '-5'], /steps is -5; it must be a whole number from 1/],
  [['evaluate', 'DyT', '--steps', 'many'], /steps is "many"; it must be a whole number/],
  [
    ['evaluate', 'DyT', '--learning-rate', '1e999'],
    /learningRate is Infinity; it must be a number/,
  ],
  [['search', '--proposals', 'NaN'], /proposals is "NaN"; it must be a whole number/],
  [['search', '--time', '8x'], /stop\.seconds is "8x"; .* such as 90s, 30m, 8h or 2d/],
  [['search', '--target', '60'], /stop\.fitness is 60; it must be a number from 0 to 1/],
  [['search', '--workers', '0'], /--workers is "0"; it must be a whole number from 1 to 1024/],
  [['search', '--exploration', '2'], /exploration is 2; it must be a number from 0 to 1/],
  [['search', '--pool', '3'], /pool is 3; it must be a divisor/],
  [['search', '--crop', '17'], /crop is 17; it must be at most 16, the side of the padded images/],
  [['search', '--baseline', 'bn-silo'], /"bn-silo".*Did you mean BN-SiLU\?/],
  [['networks', '--pool', '3'], /pool is 3; it must be a divisor/],
  [['networks', '--anchor', 'mini-mobil'], /"mini-mobil".*Did you mean mini-mobile\?/],
  [['compare', 'DyT'], /missing required argument 'others'/],
  [['compare', 'DyT', 'x * 0.5'], /the number 0\.5/],
  [['leaderboard', '--top', '1.5'], /--top is "1\.5"; it must be a whole number/],
  [['leaderboard', '--top', '-1'], /--top is "-1"; it must be a whole number/],
  [['leaderboard', '--run', 'r'], /--run is "r"; it must be the number of a run, such as 3\./],
  [['leaderboard', '--since', '-1'], /--since is "-1"; it must be a date such as/],
  [['stats', '0'], /The run is "0"; it must be the number of a run, such as 3\./],
];

test.each(WRONG_USAGE)('%j is wrong usage', async (args, says) => {
  expectRefusal(await inProcess(args), 2, says);
});

test('the exit code is that of the process', async () => {
  expectRefusal(await evolayer(['show', 'x * 0.5']), 2, /the number 0\.5/);
});

const HOSTILE_NAMES = ['class', 'nn', '1st', 'a b', 'X:\n    import os\nclass Y', 'Ünicode', ''];

test.each(HOSTILE_NAMES)('%j is refused as the name of a class', async (name) => {
  const ended = await inProcess(['export', 'DyT', '--to', 'pytorch', '--name', name]);
  expectRefusal(ended, 2, /cannot be the name of a class/);
});

describe('configuration files', () => {
  const FILES = [
    ['{"lookahed": 4}', /no setting lookahed.*Did you mean lookahead\?/],
    ['{"stop": {"proposal": 4}}', /no setting stop\.proposal.*Did you mean proposals\?/],
    ['{"protocol": {"step": 4}}', /no setting step.*Did you mean steps\?/],
    ['{"protocol": 3}', /protocol is 3; it must be an object/],
    ['[1', /settings\.json is no JSON/],
    ['[1]', /must hold a JSON object/],
  ] as const;

  test.each(FILES)('%s is refused', async (content, says) => {
    const cwd = temporaryFolder();
    writeFileSync(join(cwd, 'settings.json'), content);
    const [path, db] = [join(cwd, 'settings.json'), join(cwd, 'x.db')];
    const ended = await inProcess(['search', '--config', path, '--db', db]);
    expectRefusal(ended, 2, says);
    expect(readdirSync(cwd)).toEqual(['settings.json']);
  });

  test('one that is not there is refused', async () => {
    const ended = await inProcess(['search', '--config', '/absent/absent.json']);
    expectRefusal(ended, 1, /absent\.json cannot be read: there is no such file/);
  });

  test('flags override the file, and the file the preset', async () => {
    const cwd = temporaryFolder();
    writeFileSync(
      join(cwd, 'c.json'),
      '{"seed": 3, "stop": {"proposals": 9}, "protocol": {"steps": 7}}',
    );
    const args = ['search', '--config', join(cwd, 'c.json'), '--seed', '4', '--dry-run', '--json'];
    const { config, cost } = JSON.parse((await inProcess(args)).stdout);
    expect(config).toMatchObject({ seed: 4, stop: { proposals: 9 }, protocol: { steps: 7 } });
    expect(cost.atMostSeconds).toBeGreaterThan(0);
    expect(readdirSync(cwd)).toEqual(['c.json']);
  });
});

describe('databases', () => {
  const write = (name: string, make: (path: string) => void) => ({ name, make });
  const newer = (path: string) => {
    const db = new Database(path);
    db.pragma(`application_id = ${0x65766c79}`);
    db.pragma('user_version = 999');
    db.close();
  };
  const foreign = (path: string) => new Database(path).exec('CREATE TABLE t (a)').close();
  const FILES = [
    { ...write('text', (path) => writeFileSync(path, 'no database')), says: /is not a database/ },
    { ...write('foreign', foreign), says: /not one of evolayer/ },
    { ...write('newer', newer), says: /version 999, and this evolayer knows versions up to/ },
    { ...write('folder', (path) => mkdirSync(path)), says: /is a folder/ },
    { ...write('a/b', () => {}), says: /there is no folder/ },
  ];

  test.each(['', ' '])('%j is the name of none', async (name) => {
    for (const args of [['runs'], ['search', ...TINY], ['prune', '--run', '1', '--yes']])
      expectRefusal(await inProcess([...args, '--db', name]), 2, /The database has no name; name/);
  });

  test.each(FILES)('one that is $name is refused and left alone', async ({ make, says }) => {
    const cwd = temporaryFolder();
    const path = join(cwd, says.source.includes('no folder') ? 'absent/x.db' : 'x.db');
    make(path);
    const before = readdirSync(cwd);
    for (const args of [['runs'], ['leaderboard'], ['search', ...TINY]])
      expectRefusal(await inProcess([...args, '--db', path]), 1, says);
    expect(readdirSync(cwd)).toEqual(before);
  });

  test('one that is not there is refused by the commands that read', async () => {
    const cwd = temporaryFolder();
    const db = join(cwd, 'x.db');
    for (const args of [['runs'], ['leaderboard'], ['show', 'r1-0']])
      expectRefusal(await inProcess([...args, '--db', db]), 1, /There is no database .*x\.db/);
    expect(readdirSync(cwd)).toEqual([]);
  });
});

test('a path that cannot be written is refused, and leaves nothing behind', async () => {
  const cwd = temporaryFolder();
  writeFileSync(join(cwd, 'file'), '');
  mkdirSync(join(cwd, 'folder'));
  const before = readdirSync(cwd);
  const PATHS = [
    ['absent/layer.py', /there is no folder .*absent/],
    ['file/layer.py', /a part of the path is no folder/],
    ['folder', /it is a folder/],
  ] as const;
  for (const [path, says] of PATHS) {
    const args = ['export', 'DyT', '--to', 'pytorch', '-o', join(cwd, path)];
    expectRefusal(await inProcess(args), 1, says);
  }
  expect(readdirSync(cwd)).toEqual(before);
});

describe('data files', () => {
  const IMAGES = 'data/fashion-mnist/t10k-images-idx3-ubyte.gz';
  const HARM: readonly (readonly [string, (path: string) => void, RegExp])[] = [
    ['missing', (path) => rmSync(path), /t10k-images-idx3-ubyte\.gz/],
    ['truncated', (path) => truncateSync(path, 100_000), /t10k-images-idx3-ubyte\.gz/],
    ['tampered with', (path) => writeFileSync(path, gzipSync('no images')), /t10k-images-idx3/],
  ];

  test.each(HARM)('that are %s end a search before it begins', async (_, harm, says) => {
    const root = temporaryFolder();
    for (const name of ['package.json', 'dist', 'data'])
      cpSync(join(packageRoot(), name), join(root, name), { recursive: true });
    for (const name of ['node_modules', 'build'])
      symlinkSync(join(packageRoot(), name), join(root, name));
    harm(join(root, IMAGES));
    const program = join(root, 'dist/bin/evolayer.js');
    const before = readdirSync(root);
    expectRefusal(await evolayer(['search', '--db', 'x.db'], { cwd: root, program }), 1, says);
    expect(readdirSync(root)).toEqual(before);
  });
});
