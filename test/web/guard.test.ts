import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openStore } from '../../db/store.ts';
import { isLoopback, namesOf } from '../../src/web/server/guard.ts';
import { temporaryFolder } from '../cli/process.ts';
import { beginRun, settled, TIME } from '../db/records.ts';
import { dashboard } from './dashboard.ts';

function database(): string {
  const path = join(temporaryFolder(), 'x.db');
  const store = openStore(path);
  store.commit(beginRun(store), [settled(0)], TIME);
  store.close();
  return path;
}

interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

/** A request as no browser would send it. */
const send = (
  url: string,
  path: string,
  { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
) =>
  new Promise<Answer>((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const sent = request({ hostname, port, path, method, headers, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
      );
    });
    sent.on('error', reject).end();
  });

const PATHS = ['/', '/api/choices', '/api/live', '/assets/nothing.js', '/nothing'] as const;

describe('the dashboard answers', () => {
  test('only to its own names', async () => {
    const { url } = await dashboard(database());
    const { port } = new URL(url);
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`, 'LOCALHOST'])
      expect((await send(url, '/api/choices', { headers: { host } })).status).toBe(200);
    const foreign = [
      'evil.example',
      `evil.example:${port}`,
      '127.0.0.1.evil.example',
      'localhost@evil',
    ];
    for (const path of PATHS)
      for (const host of [...foreign, 'a b', '127.0.0.1:x', '[::1', `10.0.0.1:${port}`]) {
        const { status, body } = await send(url, path, { headers: { host } });
        expect({ path, host, refused: status >= 400 && status < 500 }).toEqual({
          ...{ path, host, refused: true },
        });
        expect(body).not.toMatch(/protocols|pulse|<html/);
      }
  });

  test('no method that writes', async () => {
    const { url } = await dashboard(database());
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'])
      for (const path of PATHS) {
        const { status, headers } = await send(url, path, { method });
        expect({ method, path, status }).toEqual({ method, path, status: 405 });
        expect(headers.allow).toBe('GET, HEAD');
      }
    expect((await send(url, '/api/choices', { method: 'HEAD' })).status).toBe(200);
  });

  test('with headers that let nothing in and nothing out', async () => {
    const { url } = await dashboard(database());
    for (const path of ['/', '/api/choices', '/api/layer/graph.svg?layer=x', '/nothing']) {
      const { headers } = await send(url, path);
      const policy = String(headers['content-security-policy']);
      expect(policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self';/);
      expect(policy).not.toMatch(/unsafe|\*|https?:/);
      expect(policy).toContain("frame-ancestors 'none'");
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect(headers['cross-origin-resource-policy']).toBe('same-origin');
      expect(headers['access-control-allow-origin']).toBeUndefined();
    }
    const page = (await send(url, '/')).body;
    expect(page).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\son\w+=|style="/i);
  });

  test('no question that another page asks', async () => {
    const { url } = await dashboard(database());
    const other = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' };
    expect((await send(url, '/api/choices', { headers: other })).status).toBe(403);
    const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' };
    expect((await send(url, '/', { headers: link })).status).toBe(200);
  });

  test('nothing outside of the page', async () => {
    const { url } = await dashboard(database());
    const tricks = [
      '/assets/../index.html',
      '/assets/..%2f..%2fpackage.json',
      '/assets/%2e%2e/%2e%2e/package.json',
      '/assets/..\\..\\package.json',
      '/assets//etc/passwd',
      '/assets/%00',
      '/..%2f..%2fetc/passwd',
      '//evil.example/',
      '/assets/.hidden',
      '/api/layer?layer=/etc/passwd',
      '/api/layer?layer=./package.json',
      '/api/layer/export?layer=../../package.json&to=json',
      '/api/layer/file?layer=x&to=../../x',
    ];
    for (const path of tricks) {
      const { status, body } = await send(url, path);
      expect({ path, refused: status >= 400 && status < 500 }).toEqual({ path, refused: true });
      expect(body).not.toMatch(/root:|"version": |<html/);
    }
  });

  test('no question that is too large', async () => {
    const { url, errors } = await dashboard(database());
    const long = (length: number) => `/api/layer?layer=${'x%2B'.repeat(length / 4)}x`;
    expect((await send(url, long(9000))).status).toBe(414);
    // Node answers 431 and hangs up, which may come first.
    const huge = await send(url, long(100_000)).catch((error: Error) => error.message);
    expect(typeof huge === 'string' ? huge : String(huge.status)).toMatch(/431|ECONNRESET|EPIPE/);
    const many = `/api/compare?${'layer=x&'.repeat(500)}`;
    expect((await send(url, many)).status).toBe(400);
    expect((await send(url, '/api/leaderboard?from=1e9')).status).toBe(200);
    const deep = `/api/layer?layer=${'('.repeat(1900)}x${')'.repeat(1900)}`;
    expect([200, 400]).toContain((await send(url, deep)).status);
    const wide = `/api/layer/graph.svg?layer=${encodeURIComponent(`${'tanh('.repeat(400)}x${')'.repeat(400)}`)}`;
    const { status, body } = await send(url, wide);
    expect(status).toBe(503);
    expect(body).toMatch(/at most 200 nodes/);
    expect((await send(url, '/api/choices')).status).toBe(200);
    expect(errors).toEqual([]);
  });

  test('after connections that broke off, and nonsense', async () => {
    const { url, errors } = await dashboard(database());
    const { hostname, port } = new URL(url);
    const raw = (text: string) =>
      new Promise<void>((resolve) => {
        const socket = connect(Number(port), hostname, () => {
          socket.write(text, () => socket.destroy());
        });
        socket.on('close', () => resolve()).on('error', () => {});
      });
    const head = `Host: 127.0.0.1:${port}\r\n`;
    for (let i = 0; i < 30; i++) {
      await raw(`GET /api/layer?layer=BN-ReLU HTTP/1.1\r\n${head}\r\n`);
      await raw(`GET /api/live HTTP/1.1\r\n${head}\r\n`);
      await raw('GET /api/choi');
      await raw('\u0000\u0001\r\n\r\n');
      await raw(`POST /api/runs HTTP/1.1\r\n${head}Content-Length: 1000000000\r\n\r\nx`);
    }
    expect((await send(url, '/api/choices')).status).toBe(200);
    expect(errors).toEqual([]);
  });
});

describe('a dashboard that others hear', () => {
  test('needs its token, which becomes a cookie and leaves the address', async () => {
    const { url, token } = await dashboard(database(), { host: '0.0.0.0' });
    expect(token).toMatch(/^[\w-]{32}$/);
    const here = url.replace('0.0.0.0', '127.0.0.1');
    for (const path of PATHS) expect((await send(here, path)).status).toBe(401);
    for (const wrong of ['', 'x', `${token}x`, token!.slice(1)]) {
      expect((await send(here, `/?token=${wrong}`)).status).toBe(401);
      const headers = { authorization: `Bearer ${wrong}`, cookie: `evolayer-token=${wrong}` };
      expect((await send(here, '/api/choices', { headers })).status).toBe(401);
    }
    const { status, headers } = await send(here, `/runs/1?token=${token}&x=1`);
    expect({ status, location: headers.location }).toEqual({
      status: 303,
      location: '/runs/1?x=1',
    });
    const [cookie] = headers['set-cookie'] as string[];
    expect(cookie).toMatch(/; HttpOnly; SameSite=Lax; Path=\/$/);
    const known = { cookie: `other=1; ${cookie!.split(';')[0]}` };
    expect((await send(here, '/api/choices', { headers: known })).status).toBe(200);
    const bearer = { authorization: `Bearer ${token}` };
    expect((await send(here, '/api/choices', { headers: bearer })).status).toBe(200);
    const outside = await send(here, `//evil.example/?token=${token}`);
    expect(outside.headers.location ?? '/').toMatch(/^\/(?!\/)/);
    const foreign = { ...bearer, host: 'evil.example' };
    expect((await send(here, '/api/choices', { headers: foreign })).status).toBe(421);
  });

  test('is every one that is not on the loopback', () => {
    for (const host of ['127.0.0.1', '127.3.2.1', '::1', 'localhost'])
      expect(isLoopback(host)).toBe(true);
    for (const host of ['0.0.0.0', '::', '192.168.0.2', 'localhost.evil.example', '127.evil'])
      expect(isLoopback(host)).toBe(false);
    expect(namesOf('127.0.0.1').has('0.0.0.0')).toBe(false);
  });
});
