import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openStore } from '../../db/store.ts';
import type { Pulse } from '../../src/web/server/live.ts';
import { temporaryFolder } from '../cli/process.ts';
import { beginRun, settled, TIME } from '../db/records.ts';
import { dashboard } from './dashboard.ts';

/** What the server sends, message by message. */
async function listenTo(url: string) {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get(new URL('/api/live', url), resolve).on('error', reject);
  });
  response.setEncoding('utf8');
  const close = () => void response.destroy();
  onTestFinished(close);
  const chunks = response[Symbol.asyncIterator]() as AsyncIterator<string>;
  let text = '';
  const next = async (): Promise<Pulse> => {
    for (;;) {
      const end = text.indexOf('\n\n');
      if (end >= 0) {
        const data = /^data: (.*)$/m.exec(text.slice(0, end))?.[1];
        text = text.slice(end + 2);
        if (data !== undefined) return JSON.parse(data);
        continue;
      }
      const { value, done } = await chunks.next();
      if (done) throw new Error('the server said no more');
      text += value;
    }
  };
  return { response, next, close };
}

function writing() {
  const path = join(temporaryFolder(), 'x.db');
  const store = openStore(path);
  onTestFinished(() => store.close());
  return { path, store };
}

test('what is committed is told, and that a run is being worked on', async () => {
  const { path, store } = writing();
  const run = beginRun(store);
  const { url } = await dashboard(path);
  const { response, next } = await listenTo(url);
  expect(response.headers['content-type']).toMatch(/^text\/event-stream/);
  expect(response.headers['content-security-policy']).toContain("default-src 'none'");
  const first = await next();
  expect(first.open).toEqual([{ id: 1, proposals: 0, running: true }]);
  store.commit(run, [settled(0), settled(1)], TIME);
  const second = await next();
  expect(second.open).toEqual([{ id: 1, proposals: 2, running: true }]);
  expect(second.version).not.toBe(first.version);
  store.stop(run, 'finished', TIME);
  expect((await next()).open).toEqual([]);
});

test('listeners that go leave nothing behind, and too many are sent away', async () => {
  const { path, store } = writing();
  const run = beginRun(store);
  const { url, errors } = await dashboard(path);
  const listeners = [];
  for (let i = 0; i < 64; i++) listeners.push(await listenTo(url));
  const late = await listenTo(url);
  expect(late.response.statusCode).toBe(503);
  for (const { close } of listeners.slice(1)) close();
  store.commit(run, [settled(0)], TIME);
  await listeners[0]!.next();
  await expect(listeners[0]!.next()).resolves.toMatchObject({ open: [{ proposals: 1 }] });
  const again = await listenTo(url);
  expect(again.response.statusCode).toBe(200);
  expect((await again.next()).open[0]!.proposals).toBe(1);
  expect(errors).toEqual([]);
});

test('a reader that stays open does not keep the log of the database from being emptied', async () => {
  const { path, store } = writing();
  const run = beginRun(store);
  const { url } = await dashboard(path);
  const { next } = await listenTo(url);
  await next();
  for (let i = 0; i < 200; i++) store.commit(run, [settled(i)], TIME);
  expect((await next()).open[0]!.proposals).toBeGreaterThan(0);
  const { default: Database } = await import('better-sqlite3');
  const db = new Database(path);
  onTestFinished(() => void db.close());
  const [checkpoint] = db.pragma('wal_checkpoint(TRUNCATE)') as { busy: number; log: number }[];
  expect(checkpoint).toMatchObject({ busy: 0, log: 0 });
});
