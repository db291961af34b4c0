import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { fillDatabase } from '../../bench/synthetic.ts';
import { openStore } from '../../db/store.ts';
import { evolayer, inProcess, TINY, temporaryFolder } from '../cli/process.ts';
import { beginRun, evaluated, settled, TIME } from '../db/records.ts';

const ENTITIES: Readonly<Record<string, string>> = {
  ...{ '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'", '&amp;': '&' },
};
const textOf = (html: string): string =>
  html.replace(/<[^>]*>/g, '').replace(/&(?:lt|gt|quot|amp|#39);/g, (entity) => ENTITIES[entity]!);

/** The cells of the table with this caption, row by row. */
function tableIn(html: string, caption: RegExp): string[][] {
  const found = html
    .split('<table>')
    .find((text) => caption.test(/<caption>(.*?)<\/caption>/s.exec(text)?.[1] ?? ''));
  if (!found) throw new Error(`no table ${caption}`);
  return found
    .slice(0, found.indexOf('</table>'))
    .split('<tr>')
    .slice(1)
    .map((row) =>
      [...row.matchAll(/<t[hd][^>]*>(.*?)<\/t[hd]>/gs)].map(([, cell]) => textOf(cell!)),
    );
}

/** Cells of the first table in Markdown. */
const tableOfMarkdown = (text: string): string[][] =>
  text
    .trim()
    .split('\n')
    .filter((_, i) => i !== 1)
    .map((line) =>
      line
        .slice(2, -2)
        .split(' | ')
        .map((cell) => cell.replaceAll(/\\(.)/g, '$1')),
    );

async function reportOn(db: string, run: number): Promise<string> {
  const file = join(temporaryFolder(), 'report.html');
  const { code, stdout, stderr } = await inProcess(['report', String(run), '--db', db, '-o', file]);
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: `Wrote ${file}.\n` });
  return readFileSync(file, 'utf8');
}

describe('a report', () => {
  let db: string;
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'evolayer-'));
    db = join(folder, 'x.db');
    fillDatabase(db, { candidates: 800, runs: 2, seed: 1 });
    const search = ['search', ...TINY, '--db', db, '--proposals', '30', '--workers', '1'];
    const { code, stderr } = await evolayer(search);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    return () => rmSync(folder, { recursive: true, force: true });
  });

  test.each([1, 3])('of run %i has every number that the commands print', async (run) => {
    const html = await reportOn(db, run);
    const text = textOf(html);
    // The folder's name is random, and may end in a digit.
    const printed = (await inProcess(['stats', String(run), '--db', db])).stdout.replaceAll(db, '');
    const numbers = new Set(printed.match(/[−+]?\d[\d.:]*(?: (?:%|points|s\b|times))?(?:\/\w+)?/g));
    // How many differ depends on what the clock said.
    expect(numbers.size).toBeGreaterThan(20);
    const missing = [...numbers].filter((number) => !text.includes(number));
    expect(missing).toEqual([]);
  });

  test.each([1, 3])('of run %i has the leaderboard of the command, cell by cell', async (run) => {
    const html = await reportOn(db, run);
    const args = ['leaderboard', '--run', String(run), '--db', db, '--md'];
    const printed = tableOfMarkdown((await inProcess(args)).stdout);
    expect(tableIn(html, /^Leaderboard/)).toEqual(printed);
    expect(printed.length).toBeGreaterThan(5);
  });

  test('has the settings of the run as a configuration that works', async () => {
    const html = await reportOn(db, 3);
    const config = textOf(html.slice(html.lastIndexOf('<pre>'), html.lastIndexOf('</pre>')));
    const file = join(temporaryFolder(), 'config.json');
    writeFileSync(file, config);
    const [run] = JSON.parse((await inProcess(['runs', '--db', db, '--json'])).stdout).slice(-1);
    const { code, stdout, stderr } = await inProcess(['config', '--config', file]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toEqual(run.config);
  });

  test('needs nothing but itself', async () => {
    const html = await reportOn(db, 1);
    expect(html).not.toMatch(/<script|<link|<iframe|<object|\son\w+\s*=/i);
    const addresses = [...html.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, address]) => address!);
    expect(addresses.length).toBeGreaterThan(4);
    for (const address of addresses) expect(address).toMatch(/^data:image\/svg\+xml;base64,/);
    expect(html).toContain('default-src &#39;none&#39;; img-src data:; style-src &#39;sha256-');
    expect(html).toMatch(/<math [^>]*display="block"/);
  });
});

test('a report shows hostile names and messages as text', async () => {
  const path = join(temporaryFolder(), 'x.db');
  const store = openStore(path);
  const run = store.begin({
    started: TIME.at,
    config: { stop: { proposals: 2 }, note: '</pre><script>alert(1)</script>', seed: 1 },
    protocolKey: 'p1',
    protocol: {},
  });
  const hostile = '<img src=x onerror=alert(1)>\u001b[2J';
  store.commit(
    run,
    [
      settled(-1, { origin: { kind: 'baseline', name: hostile } }),
      settled(0, {
        outcome: { outcome: 'crashed', message: `"'>${hostile}` },
        functionalKey: 'bad',
      }),
      settled(1, { outcome: evaluated(0.9, 0.9) }),
    ],
    { ...TIME, faults: [{ index: 0, at: TIME.at, kind: 'thread', message: hostile }] },
  );
  store.close();
  const html = await reportOn(path, 1);
  expect(html).not.toMatch(/<img src=x|<script/);
  expect(html).not.toContain('\u001b');
  expect(html).toContain('&lt;img src=x onerror=alert(1)&gt;');
  expect(html).toContain('&lt;/pre&gt;&lt;script&gt;');
});

test('a run without proposals has a report too', async () => {
  const path = join(temporaryFolder(), 'x.db');
  const store = openStore(path);
  beginRun(store);
  store.close();
  const html = await reportOn(path, 1);
  expect(html).toContain('No proposal is committed yet.');
});

test.each([
  [['report', '9'], 2, /required option '-o, --output <file>' not specified/],
  [['report', 'x', '-o', 'x.html'], 2, /The run is "x"; it must be the number of a run/],
  [['report', '9', '-o', '/nowhere/x.html'], 2, /There is no run 9 in/],
])('%j is refused', async (args, code, says) => {
  const path = join(temporaryFolder(), 'x.db');
  const store = openStore(path);
  beginRun(store);
  store.close();
  const ended = await inProcess([...args, '--db', path]);
  expect(ended.stderr).toMatch(says);
  expect(ended.code).toBe(code);
});
