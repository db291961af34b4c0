import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { fillDatabase } from '../../bench/synthetic.ts';
import { evolayer, inProcess, start, temporaryFolder } from './process.ts';

function database(): string {
  const path = join(temporaryFolder(), 'x.db');
  fillDatabase(path, { candidates: 40, runs: 1, seed: 1 });
  return path;
}

describe('the dashboard command', () => {
  test('prints its address, serves until a signal, and ends well', async () => {
    const { process, says, ended } = start(['dashboard', '--db', database(), '--port', '0']);
    let printed = '';
    process.stdout!.on('data', (text: string) => {
      printed += text;
    });
    await says('Ctrl-C ends it');
    const url = printed.trim();
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
    const response = await fetch(`${url}api/runs`);
    expect(await response.json()).toMatchObject({ runs: [{ id: 1, proposals: 40 }] });
    expect(await (await fetch(url)).text()).toMatch(/<script type="module"[^>]*src="\/assets\//);
    process.kill('SIGINT');
    expect(await ended).toMatchObject({ code: 0 });
  });

  test('prints a token once where others hear it', async () => {
    const args = ['dashboard', '--db', database(), '--port', '0', '--host', '0.0.0.0'];
    const { process, says, ended } = start(args);
    await says('Ctrl-C ends it');
    process.kill('SIGTERM');
    const { code, stdout, stderr } = await ended;
    const token = /\?token=([\w-]{32})\n$/.exec(stdout)?.[1];
    expect({ code, token: token !== undefined }).toEqual({ code: 0, token: true });
    expect(`${stdout}${stderr}`.split(token!)).toHaveLength(2);
  });

  test('refuses a port that is taken, or none', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    const taken = await evolayer(['dashboard', '--db', database(), '--port', String(port)]);
    expect(taken).toMatchObject({ code: 1, stdout: '' });
    expect(taken.stderr).toMatch(new RegExp(`^error: Port ${port} is taken; name another one`));
    const wrong = await inProcess(['dashboard', '--port', '70000']);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toMatch(/--port is "70000"; it must be a whole number from 0 to 65535\./);
  });

  test('refuses a database that is not there, and an address of elsewhere', async () => {
    const missing = await inProcess(['dashboard', '--db', join(temporaryFolder(), 'no.db')]);
    expect(missing.code).toBe(1);
    expect(missing.stderr).toMatch(/There is no database .*no\.db; `evolayer search` writes one/);
    const args = ['dashboard', '--db', database(), '--port', '0', '--host', '203.0.113.7'];
    const elsewhere = await inProcess(args);
    expect(elsewhere.code).toBe(1);
    expect(elsewhere.stderr).toMatch(/203\.0\.113\.7 is no address of this machine/);
  });
});
