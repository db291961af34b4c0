import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type DownloadOptions, download, partOf } from '../../../src/cli/data/download.ts';
import { UserError } from '../../../src/errors.ts';
import { packageRoot } from '../../../src/eval/package-root.ts';
import { temporaryFolder } from '../process.ts';
import { type Answer, file, type Server, saying, serving, sumOf } from './server.ts';

const CONTENT = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, i) => (i * i) >> 7));
const HALF = 150_000;
const OTHER = Buffer.from(CONTENT).reverse();

interface Told {
  readonly target: string;
  readonly said: string[];
  /** Null where the file came. */
  readonly complaint: string | null;
  readonly seconds: readonly number[];
}

/** Downloads the content from `servers`; waits are told instead of waited. */
async function fetchFrom(
  servers: readonly Server[],
  {
    target = join(temporaryFolder(), 'file'),
    ...options
  }: Partial<DownloadOptions> & { target?: string } = {},
): Promise<Told> {
  const said: string[] = [];
  const seconds: number[] = [];
  const wanted = { target, bytes: CONTENT.length, sha256: sumOf(CONTENT) };
  const urls = servers.map(({ url }) => `${url}/file`);
  const given = {
    signal: new AbortController().signal,
    say: (text: string) => void said.push(text),
    pause: async (time: number) => void seconds.push(time),
    ...options,
  };
  const told = { target, said, seconds };
  try {
    await download({ ...wanted, urls }, given);
    return { ...told, complaint: null };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    expect(error.exitCode).toBe(1);
    const form =
      /^file cannot be downloaded \((.*)\); try again later, or name another place with --mirror\.$/s;
    const [, reasons = error.message] = form.exec(error.message) ?? [];
    return { ...told, complaint: reasons.replaceAll(/http:\/\/127\.0\.0\.1:\d+/g, 'URL') };
  }
}

const filesOf = ({ target }: Told): string[] => readdirSync(join(target, '..')).sort();

function expectWhole(told: Told): void {
  expect(told.complaint).toBeNull();
  expect(readFileSync(told.target).equals(CONTENT)).toBe(true);
  expect(filesOf(told)).toEqual(['file']);
}

/** Nothing is there, not even a part. */
const expectNothing = (told: Told): void => expect(filesOf(told)).toEqual([]);

describe('a server that is honest', () => {
  test.each([{}, { chunked: true }])('gives the file %j', async (options) => {
    const server = await serving(file(CONTENT, options));
    const heard: number[] = [];
    const told = await fetchFrom([server], { onProgress: (bytes) => heard.push(bytes) });
    expectWhole(told);
    expect(server.asked).toEqual(['/file']);
    expect(heard.at(-1)).toBe(CONTENT.length);
    expect(heard).toEqual([...heard].sort((a, b) => a - b));
  });

  test('but breaks off is asked for the rest of the same version', async () => {
    const server = await serving(
      file(CONTENT, { cut: HALF, etag: '"a"' }),
      file(CONTENT, { etag: '"a"' }),
    );
    const told = await fetchFrom([server]);
    expectWhole(told);
    expect(server.asked).toEqual(['/file', `/file bytes=${HALF}- "a"`]);
    expect(told.said).toEqual([expect.stringMatching(/the connection broke; trying again\.$/)]);
  });

  test('and has another version by then sends that from the start', async () => {
    const server = await serving(
      file(OTHER, { cut: HALF, etag: '"a"' }),
      file(CONTENT, { etag: '"b"' }),
    );
    expectWhole(await fetchFrom([server]));
    expect(server.asked).toHaveLength(2);
  });

  test('and knows no ranges sends all again', async () => {
    const all: Answer = (_, response) => void response.end(CONTENT);
    expectWhole(await fetchFrom([await serving(file(CONTENT, { cut: HALF }), all)]));
  });

  test('and gives a weak ETag only is asked by date, or without a condition', async () => {
    const weak = file(CONTENT, { cut: HALF, etag: 'W/"a"' });
    const server = await serving(weak, file(CONTENT));
    expectWhole(await fetchFrom([server]));
    expect(server.asked[1]).toBe(`/file bytes=${HALF}-`);
  });

  test('and redirects is followed', async () => {
    const end = await serving(file(CONTENT));
    const hop = await serving(saying(302, { location: `${end.url}/there` }));
    expectWhole(await fetchFrom([hop]));
    expect(end.asked).toEqual(['/there']);
  });

  test('and redirects within itself is followed', async () => {
    const server = await serving(saying(308, { location: '/moved' }), file(CONTENT));
    expectWhole(await fetchFrom([server]));
    expect(server.asked).toEqual(['/file', '/moved']);
  });

  test('and is overloaded is asked again, after longer and longer', async () => {
    const told = await fetchFrom([
      await serving(saying(503), saying(429), saying(500), file(CONTENT)),
    ]);
    expectWhole(told);
    expect(told.seconds).toEqual([1, 2, 4]);
  });
});

describe('a server that is not', () => {
  test('breaks off again and again: tries are bounded, and the part stays for another time', async () => {
    const part = Math.floor(CONTENT.length / 10);
    const server = await serving(file(CONTENT, { cut: part }));
    const told = await fetchFrom([server], { tries: 3 });
    expect(told.complaint).toBe('URL/file: the connection broke');
    expect(server.asked).toHaveLength(3);
    expect(filesOf(told)).toEqual(['file.part', 'file.part.json']);
    const again = await serving(file(CONTENT));
    expectWhole(await fetchFrom([again], { target: told.target }));
    expect(again.asked).toEqual([`/file bytes=${3 * part}-`]);
  });

  test('is silent before it answers', async () => {
    const told = await fetchFrom([await serving(() => {})], { stallSeconds: 0.05, tries: 2 });
    expect(told.complaint).toBe('URL/file: it sent nothing for 0.05 s');
    expectNothing(told);
  });

  test('stalls in the middle: what came is kept, and the rest is asked for', async () => {
    const stalls = file(CONTENT, { cut: HALF, silent: true });
    const server = await serving(stalls, file(CONTENT));
    const told = await fetchFrom([server], { stallSeconds: 0.05 });
    expectWhole(told);
    expect(told.said[0]).toMatch(/it sent nothing for 0\.05 s; trying again\.$/);
    expect(server.asked[1]).toBe(`/file bytes=${HALF}-`);
  });

  test('ends an answer without length too early', async () => {
    const short: Answer = (_, response) => void response.end(CONTENT.subarray(0, HALF));
    const chunked: Answer = (request, response) => {
      response.setHeader('transfer-encoding', 'chunked');
      short(request, response);
    };
    const told = await fetchFrom([await serving(chunked)], { tries: 1 });
    expect(told.complaint).toBe(`URL/file: it stopped after ${HALF} of ${CONTENT.length} bytes`);
  });

  test('says another length', async () => {
    const told = await fetchFrom([await serving(file(CONTENT.subarray(1)))]);
    expect(told.complaint).toBe('URL/file: it says that it sends 299999 bytes instead of 300000');
    expectNothing(told);
  });

  test('sends more than there is', async () => {
    const more = Buffer.concat([CONTENT, CONTENT]);
    const server = await serving(file(more, { chunked: true }));
    const told = await fetchFrom([server]);
    expect(told.complaint).toBe('URL/file: it sends more than 300000 bytes');
    expect(server.asked).toHaveLength(1);
    expectNothing(told);
  });

  test('sends something else of the same length', async () => {
    const server = await serving(file(OTHER));
    const told = await fetchFrom([server]);
    expect(told.complaint).toMatch(
      /^URL\/file: its content has the SHA-256 \w{64} instead of \w{64}$/,
    );
    expect(server.asked).toHaveLength(1);
    expectNothing(told);
  });

  test('goes on with something else: that is thrown away, and all is asked for once more', async () => {
    const server = await serving(file(OTHER, { cut: HALF }), file(CONTENT));
    const told = await fetchFrom([server]);
    expectWhole(told);
    expect(server.asked).toEqual(['/file', `/file bytes=${HALF}-`, '/file']);
  });

  test.each([
    ['bytes 0-299999/300000'],
    ['bytes 150000-299999/300001'],
    ['no range at all'],
    [undefined],
  ])('answers with the range %j', async (range) => {
    const lie: Answer = (_, response) =>
      void response
        .writeHead(206, range === undefined ? {} : { 'content-range': range })
        .end(CONTENT);
    const server = await serving(file(CONTENT, { cut: HALF }), lie, saying(404));
    const told = await fetchFrom([server]);
    expect(told.complaint).toBe('URL/file: it answers 404 Not Found');
    expect(told.said[1]).toMatch(/it sends .* instead of bytes 150000 to 299999; trying again\.$/);
    expect(server.asked[2]).toBe('/file');
    expectNothing(told);
  });

  test('has no such range: the part is thrown away', async () => {
    const server = await serving(file(CONTENT, { cut: HALF }), saying(416), file(CONTENT));
    expectWhole(await fetchFrom([server]));
    expect(server.asked[2]).toBe('/file');
  });

  test('redirects in a circle', async () => {
    const server = await serving(saying(301, { location: '/file' }));
    const told = await fetchFrom([server]);
    expect(told.complaint).toBe('URL/file: it redirects more than 5 times');
    expect(server.asked).toHaveLength(6);
    expectNothing(told);
  });

  test.each(['file:///etc/passwd', 'ftp://127.0.0.1/file', 'data:,x', 'http://'])(
    'redirects to %s',
    async (location) => {
      const told = await fetchFrom([await serving(saying(302, { location }))]);
      expect(told.complaint).toBe(
        `URL/file: it leads to ${JSON.stringify(location)}, which is no http or https address`,
      );
      expectNothing(told);
    },
  );

  test('does not speak HTTP', async () => {
    const server = createServer((socket) => void socket.end('220 ready\r\n'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const told = await fetchFrom([{ url: `http://127.0.0.1:${port}`, asked: [] }], { tries: 1 });
    expect(told.complaint).toMatch(/^URL\/file: Parse Error: /);
    expectNothing(told);
  });

  test('lacks the file, and so the next address is asked', async () => {
    const [lacks, has] = [await serving(saying(404)), await serving(file(CONTENT))];
    expectWhole(await fetchFrom([lacks, has]));
    expect([lacks.asked, has.asked]).toEqual([['/file'], ['/file']]);
  });

  test('is not there: the sentence names every address, without its password', async () => {
    const { url } = await serving(saying(404));
    const secret = url.replace('http://', 'http://me:secret@');
    const refuses = 'http://127.0.0.1:1';
    const told = await fetchFrom(
      [
        { url: secret, asked: [] },
        { url: refuses, asked: [] },
      ],
      { tries: 1 },
    );
    expect(told.complaint).toBe(
      'URL/file: it answers 404 Not Found; URL/file: the server refuses connections',
    );
  });
});

describe('a part that is there', () => {
  const prepared = (content: Uint8Array): string => {
    const target = join(temporaryFolder(), 'file');
    writeFileSync(partOf(target), content);
    return target;
  };

  test('is gone on from another address, whatever its version', async () => {
    const first = await serving(file(CONTENT, { cut: HALF, etag: '"a"' }));
    const told = await fetchFrom([first], { tries: 1 });
    const second = await serving(file(CONTENT, { etag: '"b"' }));
    expectWhole(await fetchFrom([second], { target: told.target }));
    expect(second.asked).toEqual([`/file bytes=${HALF}-`]);
  });

  test('is only checked where it is whole', async () => {
    const server = await serving(saying(500));
    expectWhole(await fetchFrom([server], { target: prepared(CONTENT) }));
    expect(server.asked).toEqual([]);
  });

  test.each([
    ['too long', Buffer.concat([CONTENT, CONTENT])],
    ['something else', OTHER],
    ['the beginning of something else', OTHER.subarray(0, HALF)],
  ])('and is %s is thrown away', async (_, content) => {
    const server = await serving(file(CONTENT));
    expectWhole(await fetchFrom([server], { target: prepared(content) }));
    expect(server.asked.at(-1)).toBe('/file');
  });

  test('has a version that was cut off: it counts for nothing', async () => {
    const target = prepared(CONTENT.subarray(0, HALF));
    writeFileSync(`${partOf(target)}.json`, '{"url": "http');
    const server = await serving(file(CONTENT, { etag: '"a"' }));
    expectWhole(await fetchFrom([server], { target }));
    expect(server.asked).toEqual([`/file bytes=${HALF}-`]);
  });
});

test('a password of an address is not kept beside the part', async () => {
  const { url } = await serving(file(CONTENT, { cut: HALF, etag: '"a"' }));
  const secret = { url: url.replace('http://', 'http://me:secret@'), asked: [] };
  const { target } = await fetchFrom([secret], { tries: 1 });
  expect(readFileSync(`${partOf(target)}.json`, 'utf8')).toBe(
    JSON.stringify({ url: `${url}/file`, validator: '"a"' }),
  );
});

test('a signal ends a download, and keeps what came', async () => {
  const controller = new AbortController();
  const server = await serving(file(CONTENT, { cut: HALF, silent: true }));
  const target = join(temporaryFolder(), 'file');
  const reason = new Error('enough');
  const work = fetchFrom([server], {
    target,
    signal: controller.signal,
    onProgress: (bytes) => bytes === HALF && controller.abort(reason),
  });
  await expect(work).rejects.toBe(reason);
  expect(existsSync(target)).toBe(false);
  expectWhole(await fetchFrom([await serving(file(CONTENT))], { target }));
});

test('two downloads of the same file at once both end well', async () => {
  const target = join(temporaryFolder(), 'file');
  const server = await serving(file(CONTENT));
  const both = await Promise.all([
    fetchFrom([server], { target }),
    fetchFrom([server], { target }),
  ]);
  for (const told of both) expect(told.complaint).toBeNull();
  expect(readFileSync(target).equals(CONTENT)).toBe(true);
  expect(existsSync(partOf(target))).toBe(false);
});

test('a place that cannot be written is named', async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'taken'), '');
  const told = await fetchFrom([await serving(file(CONTENT))], {
    target: join(folder, 'taken', 'file'),
  });
  expect(told.complaint).toMatch(/^The folder .*taken cannot be made: a file has its name\.$/);
});

test('a program that is killed in the middle is gone on from there', async () => {
  const target = join(temporaryFolder(), 'file');
  const stuck = await serving(file(CONTENT, { cut: HALF, silent: true, etag: '"a"' }));
  const module = pathToFileURL(join(packageRoot(), 'dist/src/cli/data/download.js'));
  const wanted = {
    target,
    bytes: CONTENT.length,
    sha256: sumOf(CONTENT),
    urls: [`${stuck.url}/file`],
  };
  const code = `import { download } from ${JSON.stringify(module.href)};
    const onProgress = (bytes) => bytes === ${HALF} && process.stdout.write('half');
    await download(${JSON.stringify(wanted)}, { signal: new AbortController().signal, onProgress });`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', code]);
  child.stdout.once('data', () => child.kill('SIGKILL'));
  await new Promise((resolve) => child.once('close', resolve));
  expect(existsSync(target)).toBe(false);
  const server = await serving(file(CONTENT, { etag: '"a"' }));
  expectWhole(await fetchFrom([server], { target }));
  expect(server.asked).toEqual([`/file bytes=${HALF}-`]);
});
