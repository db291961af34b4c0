import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, onTestFinished, test, vi } from 'vitest';
import { DATASETS } from '../../../src/eval/data-sources.ts';
import { npy, zip } from '../../eval/data-files.ts';
import { inProcess, TINY, temporaryFolder } from '../process.ts';

afterEach(() => {
  process.exitCode = 0;
});

/** A cache with these files. */
function cacheWith(files: Readonly<Record<string, string>> = {}): string {
  const folder = temporaryFolder();
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  vi.stubEnv('EVOLAYER_DATA', folder);
  vi.stubEnv('EVOLAYER_MIRROR', undefined);
  onTestFinished(() => void vi.unstubAllEnvs());
  return folder;
}

test('data list tells of every data set what it holds and how to get it', async () => {
  cacheWith({ 'cifar10/cifar-10-binary.tar.gz.part': 'x'.repeat(2_000_000) });
  const { code, stdout } = await inProcess(['data', 'list']);
  expect(code).toBe(0);
  for (const name of DATASETS.keys()) expect(stdout).toMatch(new RegExp(`^${name} `, 'm'));
  expect(stdout).toMatch(/^fashion-mnist {6}.* 8,000 .*28×28×1 .*in the package /m);
  expect(stdout).toMatch(/^mnist .*evolayer data fetch mnist /m);
  expect(stdout).toMatch(/^cifar10 .* 170 MB {2}2\.0 MB of 170 MB; evolayer data fetch cifar10 /m);
});

test('data list --json', async () => {
  const folder = cacheWith({ 'cifar100/cifar-100-binary.tar.gz': 'x' });
  const { stdout } = await inProcess(['data', 'list', '--json']);
  const rows = JSON.parse(stdout) as { name: string }[];
  expect(rows.map(({ name }) => name)).toEqual([...DATASETS.keys()]);
  expect(rows.find(({ name }) => name === 'cifar100')).toEqual({
    ...{ name: 'cifar100', doc: DATASETS.get('cifar100')!.doc, classes: 100 },
    image: { height: 32, width: 32, channels: 3 },
    images: { train: 45_000, validation: 5000, test: 10_000 },
    ...{ hash: '9b6236d6a97aa38f', state: 'cache', path: join(folder, 'cifar100') },
    ...{ bytes: 168_513_733, fetched: 1 },
  });
});

test('data check reads what is here; what is wrong is told, with exit code 1', async () => {
  const folder = cacheWith();
  expect(await inProcess(['data', 'check', 'fashion-mnist'])).toMatchObject({
    ...{ code: 0, stdout: expect.stringMatching(/^fashion-mnist is sound: .*fashion-mnist\n$/) },
  });
  mkdirSync(join(folder, 'cifar10'));
  writeFileSync(join(folder, 'cifar10', 'cifar-10-binary.tar.gz'), 'x');
  const { code, stdout } = await inProcess(['data', 'check']);
  expect(code).toBe(1);
  expect(stdout).toMatch(/^fashion-mnist is sound: /m);
  expect(stdout).toMatch(
    /^cifar10 is not sound: The data file .*\.tar\.gz is damaged: .*; fetch it again with `evolayer data fetch cifar10`\.$/m,
  );
  const json = await inProcess(['data', 'check', 'cifar10', '--json']);
  expect(json.code).toBe(1);
  expect(JSON.parse(json.stdout)).toEqual([
    {
      ...{ name: 'cifar10', path: join(folder, 'cifar10'), sound: false },
      message: expect.stringMatching(/is damaged/),
    },
  ]);
});

test('data check tells of what is not here, or not wholly', async () => {
  cacheWith({ 'mnist/train-images-idx3-ubyte.gz.part': 'x' });
  const { code, stdout } = await inProcess(['data', 'check', 'mnist', 'cifar10']);
  expect({ code, stdout }).toEqual({
    code: 1,
    stdout: [
      'mnist is not sound: The data set mnist is not wholly here; fetch it with `evolayer data fetch mnist`.\n',
      'cifar10 is not sound: The data set cifar10 is not here; fetch it with `evolayer data fetch cifar10`.\n',
    ].join(''),
  });
});

test('data check reads .npz files', async () => {
  const path = join(cacheWith(), 'a.npz');
  const labels = Uint8Array.from({ length: 8 }, (_, i) => i % 2);
  const archive = zip({
    'x_train.npy': npy(
      '|u1',
      [8, 2, 2],
      Uint8Array.from({ length: 32 }, (_, i) => i),
    ),
    'y_train.npy': npy('|u1', [8], labels),
  });
  writeFileSync(path, archive);
  expect(await inProcess(['data', 'check', path])).toMatchObject({ code: 0 });
  writeFileSync(path, archive.subarray(0, 200));
  const { code, stderr } = await inProcess(['data', 'check', path]);
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/ is no data set: /) });
});

test('what is in the package needs no fetching', async () => {
  cacheWith();
  expect(await inProcess(['data', 'fetch', 'fashion-mnist'])).toMatchObject({
    ...{ code: 0, stdout: expect.stringMatching(/^fashion-mnist is in .*fashion-mnist\n$/) },
  });
});

test.each<[readonly string[], RegExp]>([
  [['data', 'fetch', 'mnits'], /There is no data set "mnits".*Did you mean mnist\?/],
  [['data', 'check', 'mnits'], /There is no data set "mnits"/],
  [['data', 'fetch'], /missing required argument 'dataset'/],
  [['data', 'steal'], /unknown command 'steal'/],
  [
    ['data', 'fetch', 'mnist', '--mirror', 'ftp://x'],
    /--mirror is "ftp:\/\/x"; it must be an address/,
  ],
  [
    ['data', 'fetch', 'mnist', '--mirror', 'nowhere'],
    /--mirror is "nowhere"; it must be an address/,
  ],
])('%j is wrong usage', async (args, complaint) => {
  cacheWith();
  const { code, stderr } = await inProcess(args);
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(complaint) });
});

test('a mirror in the environment is read like the flag', async () => {
  cacheWith();
  vi.stubEnv('EVOLAYER_MIRROR', 'nowhere');
  const { code, stderr } = await inProcess(['data', 'fetch', 'fashion-mnist']);
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: expect.stringMatching(/--mirror is "nowhere"/),
  });
});

test.each([['evaluate', 'DyT'], ['search']])(
  '%s names how to fetch a data set that is not here, and fetches nothing',
  async (...command) => {
    const db = join(cacheWith(), 'x.db');
    const args = [...command, ...TINY, '--dataset', 'cifar10', '--pool', '8', '--db', db];
    const { code, stderr } = await inProcess(args);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(
        /error: The data set cifar10 is not here; fetch it with `evolayer data fetch cifar10`\.\n$/,
      ),
    });
  },
);
