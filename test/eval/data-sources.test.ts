import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { datasetOf, loadDataset } from '../../src/eval/data.ts';
import { dataFolder } from '../../src/eval/data-folder.ts';
import { DATASETS, datasetSource } from '../../src/eval/data-sources.ts';
import { resolveProtocol } from '../../src/eval/presets.ts';
import { protocolKey } from '../../src/eval/protocol.ts';
import { complaintOf, folderWith, npy, zip } from './data-files.ts';

function cacheIn(folder: string): void {
  vi.stubEnv('EVOLAYER_DATA', folder);
  onTestFinished(() => void vi.unstubAllEnvs());
}

const resolve = (dataset: object) => resolveProtocol('quick', { dataset }, 'native/test');

/** 60 images of 4 × 4, 12 to test. */
function npzOf(brightness: number): Buffer {
  const x = (count: number) =>
    Uint8Array.from({ length: count * 16 }, (_, i) => (i * brightness) & 255);
  const y = (count: number) => Uint8Array.from({ length: count }, (_, i) => i % 4);
  return zip({
    'x_train.npy': npy('|u1', [60, 4, 4], x(60)),
    'y_train.npy': npy('|u1', [60, 1], y(60)),
    'x_test.npy': npy('|u1', [12, 4, 4], x(12)),
    'y_test.npy': npy('|u1', [12], y(12)),
  });
}

test('hashes and protocols of the data sets never change', () => {
  const hashes = [...DATASETS.values()].map(({ name, hash }) => [name, hash]);
  expect(Object.fromEntries(hashes)).toMatchInlineSnapshot(`
    {
      "cifar10": "dc23e9ecb19f072f",
      "cifar100": "9b6236d6a97aa38f",
      "fashion-mnist": "cfe4038a9afeee80",
      "fashion-mnist-full": "4003b6073642a2fe",
      "mnist": "35b4ae54c9e51524",
    }
  `);
  const keys = [...DATASETS.keys()].map((name) => [name, protocolKey(resolve({ name }))]);
  expect(Object.fromEntries(keys)).toMatchInlineSnapshot(`
    {
      "cifar10": "490a36eeb8e10b4f",
      "cifar100": "4eb456049233ff92",
      "fashion-mnist": "f204df2a643c039e",
      "fashion-mnist-full": "0307f5c2977b2236",
      "mnist": "3135dff3ffd635f6",
    }
  `);
});

test('every data set that is not in the package can be fetched, and says how many images it has', () => {
  for (const { name, files, urls, train, validation, test } of DATASETS.values()) {
    if (name === 'fashion-mnist') continue;
    for (const url of urls) expect(new URL(url).protocol).toMatch(/^https?:$/);
    expect(urls.length).toBeGreaterThan(0);
    for (const { sha256, bytes } of files) {
      expect(sha256).toMatch(/^[0-9a-f]{64}$/);
      expect(bytes).toBeGreaterThan(4000);
    }
    expect([60_000, 70_000]).toContain(train + validation + test);
  }
});

test('fetched data lies where the system has its caches, or in $EVOLAYER_DATA', () => {
  expect(dataFolder({ EVOLAYER_DATA: '/d' }, 'linux')).toBe('/d');
  expect(dataFolder({ XDG_CACHE_HOME: '/c' }, 'linux')).toBe('/c/evolayer');
  expect(dataFolder({ XDG_CACHE_HOME: 'c' }, 'linux')).toMatch(/\/\.cache\/evolayer$/);
  expect(dataFolder({}, 'darwin')).toMatch(/\/Library\/Caches\/evolayer$/);
  expect(dataFolder({ LOCALAPPDATA: '/l' }, 'win32')).toBe(join('/l', 'evolayer', 'Cache'));
});

test('data that is not here is not fetched; a sentence says how', () => {
  cacheIn(folderWith({}));
  expect(complaintOf(() => loadDataset('cifar10'))).toMatchInlineSnapshot(
    `"The data set cifar10 is not here; fetch it with \`evolayer data fetch cifar10\`."`,
  );
});

test('data that is damaged in the cache can be fetched again', () => {
  const cache = folderWith({});
  cacheIn(cache);
  const { name, remedy } = { name: 'cifar10', remedy: 'fetch it again' };
  const source = datasetSource(name);
  const folder = folderWith({ 'cifar-10-binary.tar.gz': Buffer.from('no') });
  const place = { kind: 'cache', path: folder, remedy } as const;
  expect(complaintOf(() => source.read(place), folder)).toMatch(
    /^The data file DATA\/cifar-10-binary\.tar\.gz is damaged: .*; fetch it again\.$/,
  );
});

test('the thresholds of a preset hold on its own data; on other data they are better than a guess', () => {
  const { quality, dataset } = resolve({ name: 'cifar100' });
  expect(quality.minAccuracy).toEqual({ 'mini-wide': 0.02, 'mini-deep': 0.02 });
  expect(dataset.hash).toBe(datasetSource('cifar100').hash);
  const path = join(folderWith({ 'a.npz': npzOf(3) }), 'a.npz');
  // Four classes: a quarter of the way from 1/4 to 1.
  expect(resolve({ name: path, pool: 1 }).quality.minAccuracy).toEqual({
    'mini-wide': 0.4375,
    'mini-deep': 0.4375,
  });
});

test('an .npz file is a data set: shape, classes, a split, and the hash of its content', () => {
  const path = join(folderWith({ 'a.npz': npzOf(3) }), 'a.npz');
  const { dataset } = resolve({ name: path, pool: 1 });
  expect(dataset).toEqual({ name: path, hash: datasetSource(path).hash, pool: 1, validation: 10 });
  const { image, classes, train, validation } = loadDataset(path, dataset);
  const test = loadDataset(path, { ...dataset, fold: 'test' }).validation;
  expect({ image, classes }).toEqual({ image: { height: 4, width: 4, channels: 1 }, classes: 4 });
  expect([train.count, validation.count, test.count]).toEqual([50, 10, 12]);
});

test('where an .npz file lies does not change the protocol; what it holds does', () => {
  const keyOf = (bytes: Buffer, file: string) =>
    protocolKey(resolve({ name: join(folderWith({ [file]: bytes }), file), pool: 1 }));
  expect(keyOf(npzOf(3), 'a.npz')).toBe(keyOf(npzOf(3), 'b.npz'));
  expect(keyOf(npzOf(3), 'a.npz')).not.toBe(keyOf(npzOf(5), 'a.npz'));
});

test('an .npz file that becomes another one is noticed', () => {
  const path = join(folderWith({ 'a.npz': npzOf(3) }), 'a.npz');
  const { hash } = resolve({ name: path, pool: 1 }).dataset;
  const other = datasetSource(join(folderWith({ 'a.npz': npzOf(5) }), 'a.npz')).hash;
  expect(complaintOf(() => loadDataset(path, { hash: other }))).toMatch(
    new RegExp(`^The data set .* has the hash ${hash} and not ${other}; `),
  );
});

test('a path is read again when the file there is another one', () => {
  const path = join(folderWith({ 'a.npz': npzOf(3) }), 'a.npz');
  const before = datasetSource(path);
  expect(datasetSource(path)).toBe(before);
  writeFileSync(path, npzOf(5));
  expect(datasetSource(path).hash).not.toBe(before.hash);
  expect(complaintOf(() => before.read(before.place()!))).toMatch(
    new RegExp(`has changed while it was in use: its hash was ${before.hash} and is `),
  );
});

test('real numbers are normalised like bytes of the same brightness', () => {
  const image = { height: 2, width: 2, channels: 1 };
  const source = { ...datasetSource('fashion-mnist'), image, classes: 2, validation: 2 };
  const bytes = Uint8Array.from({ length: 48 }, (_, i) => (53 * i) & 255);
  const labels = Uint8Array.from({ length: 12 }, (_, i) => i % 2);
  const whole = datasetOf(source, { train: { pixels: bytes, labels }, test: null }, { pool: 2 });
  const pixels = Float32Array.from(bytes, (value) => value / 255);
  const real = datasetOf(source, { train: { pixels, labels }, test: null }, { pool: 2 });
  expect(real.mean).toBeCloseTo(whole.mean, 6);
  whole.train.images.forEach((value, i) => {
    expect(real.train.images[i]).toBeCloseTo(value, 5);
  });
});

test('images that are all alike are refused', () => {
  const image = { height: 2, width: 2, channels: 1 };
  const source = { ...datasetSource('fashion-mnist'), image, classes: 2, validation: 2 };
  const labels = Uint8Array.from({ length: 12 }, (_, i) => i % 2);
  const content = { train: { pixels: new Uint8Array(48), labels }, test: null };
  expect(complaintOf(() => datasetOf(source, content))).toMatch(/standard deviation .* is 0;/);
});
