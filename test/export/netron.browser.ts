import { spawn } from 'node:child_process';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { onnx } from '../../src/export/onnx.ts';
import { decodeModel } from '../../src/export/onnx-proto.ts';
import { exportedOf, singleSubjects } from './vectors.ts';

/** Netron as its package starts it, on a free port, which it prints. */
const SERVER = `
import netron
host, port = netron.start(None, address=('127.0.0.1', 0), browse=False)
print(f'http://{host}:{port}/', flush=True)
netron.wait()`;

let server: ReturnType<typeof spawn>;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  server = spawn(process.env.EVOLAYER_PYTHON!, ['-c', SERVER], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  browser = await chromium.launch({
    executablePath: process.env.EVOLAYER_BROWSER!,
    args: ['--no-sandbox'],
  });
  page = await browser.newPage();
  page.setDefaultTimeout(20_000);
  // Netron asks other machines where it is; and it takes eval away, which playwright looks at pages with.
  await page.route(
    ({ hostname }) => hostname !== '127.0.0.1',
    (route) => route.abort(),
  );
  await page.addInitScript(() => {
    const { eval: own } = globalThis;
    Object.defineProperty(globalThis, 'eval', { get: () => own, set() {} });
  });
  await page.goto(await addressOf(server));
  await page.locator('#message-button').click(); // that one has read its welcome
}, 60_000);

afterAll(async () => {
  await browser?.close();
  server?.kill();
});

async function addressOf({ stdout }: typeof server): Promise<string> {
  let text = '';
  for await (const part of stdout!) {
    text += String(part);
    const found = /^http:\S+\/$/m.exec(text);
    if (found) return found[0];
  }
  throw new Error(`Netron did not start: ${text}`);
}

async function open(name: string, bytes: Uint8Array): Promise<void> {
  const file = { name, mimeType: 'application/octet-stream', buffer: Buffer.from(bytes) };
  await page.locator('#open-file-dialog').setInputFiles(file);
}

/** What Netron draws of a kind of nodes, in an order of its own. */
const drawn = async (kind: string): Promise<string[]> =>
  (await page.locator(`g.${kind} .node-item text`).allTextContents()).sort();

const known = [...singleSubjects()].filter(({ kind }) => kind !== 'candidate');

test.each(known.map(({ name, layer }) => [name, layer] as const))(
  'Netron opens the model of %s, and draws its nodes',
  async (name, layer) => {
    for (const layout of ['nchw', 'nhwc'] as const) {
      const bytes = await onnx(exportedOf(layer, null), { className: 'Layer', layout });
      const { graph } = await decodeModel(bytes);
      const file = `${name}.${layout}.onnx`;
      await open(file, bytes);
      await expect.poll(() => page.title(), { timeout: 20_000 }).toContain(file);
      const operators = graph.node.map(({ opType }) => opType).sort();
      await expect.poll(() => drawn('graph-node'), { timeout: 20_000 }).toEqual(operators);
    }
  },
  60_000,
);

test('Netron says so of what is no model', async () => {
  await open('none.onnx', Buffer.from('no model'));
  await page.locator('body.alert').waitFor();
});
