import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { fetchDataset } from '../../../src/cli/data/fetch.ts';
import { UserError } from '../../../src/errors.ts';
import {
  type DataPlace,
  type DatasetSource,
  datasetSource,
} from '../../../src/eval/data-sources.ts';
import { temporaryFolder } from '../process.ts';
import { type Answer, file, saying, serving, sumOf } from './server.ts';

const CONTENTS: Readonly<Record<string, Buffer>> = {
  'images.bin': Buffer.alloc(5000, 'pixels'),
  'labels.bin': Buffer.alloc(70, '0123'),
};

/** Gives each file under its path; a path that is unknown is told. */
const library =
  (prefix = ''): Answer =>
  (request, response) => {
    const content = CONTENTS[request.url!.replace(`${prefix}/`, '')];
    (content ? file(content) : saying(404))(request, response);
  };

/** A data set `tiny` of two files, whose cache is a folder of the test. */
function tiny(urls: readonly string[]): DatasetSource & { readonly folder: string } {
  const data = temporaryFolder();
  vi.stubEnv('EVOLAYER_DATA', data);
  onTestFinished(() => void vi.unstubAllEnvs());
  const folder = join(data, 'tiny');
  const files = Object.entries(CONTENTS).map(([name, content]) => ({
    ...{ name, bytes: content.length, sha256: sumOf(content) },
  }));
  const read = ({ path }: DataPlace) => {
    for (const { name, sha256 } of files)
      if (sumOf(readFileSync(join(path, name))) !== sha256)
        throw new UserError(`The data file ${name} is damaged.`, 1);
    return { train: { pixels: new Uint8Array(), labels: new Uint8Array() }, test: null };
  };
  const place = () =>
    files.every(({ name }) => existsSync(join(folder, name)))
      ? ({ kind: 'cache', path: folder, remedy: 'mend it' } as const)
      : null;
  return { ...datasetSource('mnist'), ...{ name: 'tiny', files, urls, read, place, folder } };
}

const fetchTiny = (source: DatasetSource, mirrors: readonly string[] = []) =>
  fetchDataset(source, { mirrors, signal: new AbortController().signal, tries: 1 });

const expectHere = ({ folder }: { readonly folder: string }): void => {
  for (const [name, content] of Object.entries(CONTENTS))
    expect(readFileSync(join(folder, name)).equals(content)).toBe(true);
};

test('every file of a data set is fetched, into a folder of its name', async () => {
  const server = await serving(library('/there'));
  const source = tiny([`${server.url}/there`]);
  expect(await fetchTiny(source)).toBe(source.folder);
  expectHere(source);
  expect(server.asked).toEqual(['/there/images.bin', '/there/labels.bin']);
});

test('what is here and sound is not fetched again', async () => {
  const server = await serving(library());
  const source = tiny([server.url]);
  await fetchTiny(source);
  await fetchTiny(source);
  expect(server.asked).toHaveLength(2);
});

test('of what is here and damaged only that is fetched', async () => {
  const server = await serving(library());
  const source = tiny([server.url]);
  await fetchTiny(source);
  writeFileSync(join(source.folder, 'labels.bin'), 'other');
  await fetchTiny(source);
  expectHere(source);
  expect(server.asked).toEqual(['/images.bin', '/labels.bin', '/labels.bin']);
});

test('what the system has is not fetched', async () => {
  const system = temporaryFolder();
  for (const [name, content] of Object.entries(CONTENTS))
    writeFileSync(join(system, name), content);
  const source = tiny(['http://127.0.0.1:1']);
  const place = () => ({ kind: 'system', path: system, remedy: 'mend it' }) as const;
  expect(await fetchTiny({ ...source, place })).toBe(system);
});

test('what the system has in another version is fetched into the cache', async () => {
  const system = temporaryFolder();
  for (const name of Object.keys(CONTENTS)) writeFileSync(join(system, name), 'other');
  const server = await serving(library());
  const source = tiny([server.url]);
  const place = () => ({ kind: 'system', path: system, remedy: 'mend it' }) as const;
  expect(await fetchTiny({ ...source, place })).toBe(source.folder);
  expectHere(source);
});

test('mirrors are asked first, with the name of the data set; then its own addresses', async () => {
  const mirror = await serving(library('/m/tiny'), saying(404));
  const own = await serving(library());
  const source = tiny([own.url]);
  await fetchTiny(source, [`${mirror.url}/m/`]);
  expectHere(source);
  expect(mirror.asked).toEqual(['/m/tiny/images.bin', '/m/tiny/labels.bin']);
  expect(own.asked).toEqual(['/labels.bin']);
});

test('a file that cannot be had leaves nothing that looks like the data set', async () => {
  const server = await serving(library(), saying(404));
  const source = tiny([server.url]);
  await expect(fetchTiny(source)).rejects.toThrow(/^labels\.bin cannot be downloaded \(.*404/);
  expect(source.place()).toBeNull();
});

test('a folder in the place of a file is named', async () => {
  const server = await serving(library());
  const source = tiny([server.url]);
  mkdirSync(join(source.folder, 'images.bin.part'), { recursive: true });
  await expect(fetchTiny(source)).rejects.toThrow(
    /images\.bin\.part cannot be \w+: it is a folder\.$/,
  );
});
