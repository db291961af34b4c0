import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import type { HashingData } from '../../../src/cli/study/hashing-data.ts';
import type { SearchData } from '../../../src/cli/study/search-data.ts';
import { evolayer, inProcess, start, TINY, temporaryFolder } from '../process.ts';

// Three studies, each in processes of its own.
vi.setConfig({ testTimeout: 240_000 });

const STUDY = [
  ...['study', 'hashing', ...TINY, '--workers', '2', '--seeds', '2', '--budget', '9'],
  ...[
    '--arms',
    'no-cache,functional',
    '--bits',
    '20',
    '--bits-budget',
    '7',
    '--sample',
    '30',
    '--json',
  ],
];

/** All but times, which no two studies share. */
const timeless = (data: object): unknown =>
  JSON.parse(JSON.stringify(data), (key, value) =>
    ['seconds', 'training', 'screening'].includes(key) ? null : value,
  );

test('a study is conducted, goes on after Ctrl-C, and tells what it finds', async () => {
  const folder = temporaryFolder();
  const dir = join(folder, 'study');
  const first = start([...STUDY, '--dir', dir]);
  await first.says('run 1 of 6');
  first.process.kill('SIGINT');
  const { code, stdout, stderr } = await first.ended;
  expect({ code, stdout }).toEqual({ code: 130, stdout: '' });
  expect(stderr).toMatch(/^To go on: evolayer study hashing .*--budget 9 .*--dir /m);
  expect(existsSync(join(dir, 'REPORT.md'))).toBe(false);

  const second = await evolayer([...STUDY, '--dir', dir]);
  expect(second).toMatchObject({ code: 0 });
  const data: HashingData = JSON.parse(second.stdout);
  expect(data.arms.map(({ arm }) => arm)).toEqual(['no-cache', 'functional']);
  for (const { runs } of data.arms)
    for (const { work, spent, proposals, best } of runs) {
      expect(spent).toBe(true);
      expect(work).toBeGreaterThanOrEqual(9);
      expect(work).toBeLessThan(10);
      expect(proposals).toBeGreaterThan(0);
      expect(best?.fresh).toHaveLength(6);
    }
  expect(data.arms[1]!.ratio!.mean).toBeGreaterThanOrEqual(1);
  expect(data.collisions).toMatchObject([{ bits: 20 }]);
  const written = readFileSync(join(dir, 'data.json'), 'utf8');
  expect(JSON.parse(written)).toEqual(data);
  const figure = readFileSync(join(dir, 'figure.svg'), 'utf8');
  expect(figure).toMatch(/^<svg .* line-functional".*<\/svg>\n$/s);
  expect(readFileSync(join(dir, 'REPORT.md'), 'utf8')).toContain('| functional |');

  const whole = await evolayer([...STUDY, '--dir', join(folder, 'whole')]);
  expect(timeless(JSON.parse(whole.stdout))).toEqual(timeless(data));

  const output = join(folder, 'docs', 'study');
  const again = await inProcess([...STUDY, '--dir', dir, '-o', output]);
  expect(again).toMatchObject({ code: 0, stdout: second.stdout });
  expect(readFileSync(join(output, 'figure.svg'), 'utf8')).toBe(figure);

  const other = await inProcess([...STUDY, '--steps', '3', '--dir', dir]);
  expect(other).toMatchObject({ code: 2, stdout: '' });
  expect(other.stderr).toMatch(/no-cache-1\.db holds a run of another configuration.*--dir\.$/m);
});

const SEARCHES = [
  ...['study', 'search', ...TINY, '--workers', '2', '--seeds', '2', '--budget', '6'],
  ...['--arms', 'random,evolution-untested', '--json'],
];

test('a study of searches goes on after it was killed, and tells what it finds', async () => {
  const folder = temporaryFolder();
  const dir = join(folder, 'study');
  const first = start([...SEARCHES, '--dir', dir]);
  await first.says('run 2 of 4');
  first.process.kill('SIGKILL');
  expect((await first.ended).code).toBe('SIGKILL');

  const second = await evolayer([...SEARCHES, '--dir', dir]);
  expect(second).toMatchObject({ code: 0 });
  const data: SearchData = JSON.parse(second.stdout);
  expect(data.arms.map(({ arm }) => arm)).toEqual(['random', 'evolution-untested']);
  for (const { runs, curve, gain, arm } of data.arms) {
    for (const { work, spent, trained, best } of runs) {
      expect(spent).toBe(true);
      expect(work).toBeGreaterThanOrEqual(6);
      expect(work).toBeLessThan(7);
      expect(trained).toBeGreaterThan(0);
      expect(best?.fresh).toHaveLength(6);
    }
    expect(curve).toHaveLength(60);
    expect(gain === null).toBe(arm === 'random');
  }
  for (const { fresh } of data.baselines) expect(fresh).toHaveLength(2);
  expect(JSON.parse(readFileSync(join(dir, 'data.json'), 'utf8'))).toEqual(data);
  expect(readFileSync(join(dir, 'figure.svg'), 'utf8')).toMatch(
    /^<svg .* line-random".*<\/svg>\n$/s,
  );
  expect(readFileSync(join(dir, 'REPORT.md'), 'utf8')).toContain('| evolution-untested |');

  const whole = await evolayer([...SEARCHES, '--dir', join(folder, 'whole')]);
  expect(timeless(JSON.parse(whole.stdout))).toEqual(timeless(data));
});

test('a dry run of a study of searches tells the known layers', async () => {
  const args = [
    'study',
    'search',
    ...TINY,
    '--dry-run',
    '--dir',
    join(temporaryFolder(), 'absent'),
  ];
  const { code, stdout } = await inProcess([...args, '--json']);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual({
    arms: [
      ...['random-untested', 'random', 'evolution-untested', 'evolution-average'],
      'evolution-pareto',
    ],
    baselines: ['BN-ReLU', 'BN-SiLU', 'EvoNorm-B0', 'EvoNorm-S0'],
    ...{ seeds: 5, budget: 60, runs: 25, workers: expect.any(Number) },
    ...{ cost: { trainingSeconds: expect.any(Number) }, seconds: expect.any(Number) },
  });
  expect((await inProcess(args)).stdout).toMatch(
    /^Known layers to compare with: BN-ReLU, BN-SiLU, EvoNorm-B0, EvoNorm-S0\.$/m,
  );
});

test('a dry run tells the runs and their time, and begins nothing', async () => {
  const dir = join(temporaryFolder(), 'absent');
  const args = [
    'study',
    'hashing',
    ...TINY,
    '--dry-run',
    '--seeds',
    '4',
    '--bits-budget',
    '40',
    '--dir',
    dir,
  ];
  const { code, stdout } = await inProcess([...args, '--json']);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual({
    arms: [
      ...['no-cache', 'structural', 'functional', 'aggregating', 'forgetful'],
      ...['functional-change', 'tabu'],
    ],
    bits: [1, 2, 3, 5, 7, 10, 15, 20, 24],
    ...{ seeds: 4, budget: 100, bitsBudget: 40, runs: 60, workers: expect.any(Number) },
    cost: { trainingSeconds: expect.any(Number), sampleSeconds: expect.any(Number) },
    seconds: expect.any(Number),
  });
  const said = await inProcess(args);
  expect(said.stdout).toMatch(
    /^60 runs, .* 4 seeds\.\nArms, 100 full evaluations each: no-cache, .*, tabu\.$/m,
  );
  expect(existsSync(dir)).toBe(false);
});

describe('refusals', () => {
  const cases: readonly (readonly [args: readonly string[], says: RegExp])[] = [
    [[], /^Usage: evolayer study .*hashing .*search /s],
    [['hash'], /unknown command 'hash'\s*\(Did you mean hashing\?\)/],
    [['hashing', '--arms', 'functionl'], /no arm "functionl".*Did you mean functional\?/],
    [['hashing', '--bits', '0'], /--bits has "0"; it must be whole numbers from 1 to 52/],
    [['hashing', '--budget', '0'], /--budget is "0"; it must be a number above 0/],
    [['hashing', '--bits-budget', 'x'], /--bits-budget is "x"; it must be a number above 0/],
    [['hashing', '--seeds', 'two'], /--seeds is "two"; it must be a whole number/],
    [['hashing', '--arms', 'none', '--bits', 'none'], /neither --arms nor --bits/],
    [['hashing', '--preset', 'quik'], /no preset "quik"/],
    [
      ['search', '--arms', 'evolution'],
      /no arm "evolution"; the arms are random-untested, .*pareto\.$/m,
    ],
    [['search', '--arms', 'none'], /no arm "none"; the arms are random-untested/],
    [['search', '--arms', ''], /no arm ""; the arms are random-untested/],
    [['search', '--bits', '3'], /unknown option '--bits'/],
    [['search', '--budget', '1e9'], /--budget is "1e9"; it must be a number above 0/],
  ];
  test.each(cases)('%j', async (args, says) => {
    const { code, stdout, stderr } = await inProcess(['study', ...args]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(says);
  });

  test('a folder that cannot be made', async () => {
    const folder = temporaryFolder();
    const file = join(folder, 'file');
    writeFileSync(file, '');
    const cases = [
      [join(file, 'below'), /^error: The folder .*below cannot be made: a part of the path/],
      [file, /^error: The folder .*file cannot be made: a file has its name\.$/m],
    ] as const;
    for (const [dir, says] of cases) {
      const { code, stderr } = await inProcess([...STUDY, '--dir', dir]);
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(says) });
    }
    expect(readdirSync(folder)).toEqual(['file']);
  });
});
