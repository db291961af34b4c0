import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fillDatabase } from '../../../bench/synthetic.ts';
import { openStore } from '../../../db/store.ts';
import { type Listening, listen } from '../../../src/web/server/listen.ts';
import { inProcess, temporaryFolder } from '../../cli/process.ts';
import { evaluated, settled, TIME } from '../../db/records.ts';
import { dashboard } from '../dashboard.ts';
import { openBrowser, Visitor } from './visitor.ts';

let browser: Browser;
let folder: string;
/** A recorded run, and a dashboard over it. */
let db: string;
let board: Listening;
/** The best layer of run 1. */
let best: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'evolayer-'));
  db = join(folder, 'recorded.db');
  fillDatabase(db, { candidates: 3000, runs: 2, seed: 3 });
  board = await listen({ db, host: '127.0.0.1', port: 0 });
  const entries = JSON.parse(await printed('leaderboard', '--run', '1', '--json'));
  best = entries.find(({ name }: { name: string | null }) => name === null).id;
  browser = await openBrowser();
}, 120_000);

afterAll(async () => {
  await browser?.close();
  await board?.close();
  rmSync(folder, { recursive: true, force: true });
});

async function printed(...args: string[]): Promise<string> {
  const { code, stdout } = await inProcess([...args, '--db', db]);
  expect(code).toBe(0);
  return stdout;
}

const PAGES = {
  runs: () => '',
  run: () => 'runs/1',
  rejections: () => 'runs/1/rejections',
  leaderboard: () => 'leaderboard?run=1',
  layer: () => `layer?layer=${best}`,
  compare: () => `compare?layer=${best}&layer=EvoNorm-S0&layer=BN-ReLU`,
} as const;
const NAMES = Object.keys(PAGES) as (keyof typeof PAGES)[];

describe.each(NAMES)('the page %s', (name) => {
  test('is whole, keeps nobody out, and asks nobody else', async () => {
    const visitor = await Visitor.in(browser);
    await visitor.open(board.url + PAGES[name]());
    await visitor.expectAccessible();
    await visitor.expectFitting();
    await visitor.picture(name);
    visitor.expectNoTrouble();
  });

  test('is so in the dark and in a narrow window', async () => {
    const visitor = await Visitor.in(browser, { width: 360, height: 740, colours: 'dark' });
    await visitor.open(board.url + PAGES[name]());
    await visitor.expectAccessible();
    await visitor.expectFitting();
    if (name === 'run') await visitor.picture('run-dark-narrow');
    visitor.expectNoTrouble();
  });
});

describe('the leaderboard', () => {
  const idsOf = (json: string): string[] => JSON.parse(json).map(({ id }: { id: string }) => id);
  const shown = async (visitor: Visitor) =>
    (await visitor.cells()).map((cells) => cells[2]!.split(' ')[0]!);

  test('is filtered and sorted as by the command, each with an address to go back to', async () => {
    const visitor = await Visitor.in(browser);
    const { page } = visitor;
    await visitor.open(`${board.url}leaderboard?run=1`);
    const expectLines = async (...flags: string[]) => {
      const ids = idsOf(
        await printed('leaderboard', '--run', '1', '--json', '--top', '1000', ...flags),
      );
      await expect.poll(async () => (await shown(visitor)).slice(0, 10)).toEqual(ids.slice(0, 10));
    };
    await expectLines();
    await page.getByRole('button', { name: 'nodes' }).click();
    await expectLines('--sort', 'nodes');
    expect(page.url()).toContain('sort=nodes');
    await page.getByLabel('S alone').check();
    await expectLines('--sort', 'nodes', '--batch-independent');
    await page.getByLabel('evaluations, at least').fill('3');
    await page.keyboard.press('Enter');
    await expectLines('--sort', 'nodes', '--batch-independent', '--min-evaluations', '3');
    await page.goBack();
    await expectLines('--sort', 'nodes', '--batch-independent');
    await page.goBack();
    await page.goBack();
    await expectLines();
    await page.goForward();
    await expectLines('--sort', 'nodes');
    await page.getByLabel('the front alone').check();
    await expectLines('--sort', 'nodes', '--pareto');
    await page.reload();
    await visitor.settled();
    await expectLines('--sort', 'nodes', '--pareto');
    visitor.expectNoTrouble();
  });

  test('leaves columns out, and counts the anchors that are chosen', async () => {
    const visitor = await Visitor.in(browser);
    const { page } = visitor;
    await visitor.open(`${board.url}leaderboard?run=1`);
    await page.locator('summary', { hasText: 'columns' }).click();
    await page.getByLabel('origin', { exact: true }).uncheck();
    await expect.poll(() => page.getByRole('columnheader', { name: 'origin' }).count()).toBe(0);
    await page.locator('summary', { hasText: 'anchors that count' }).click();
    await page.getByRole('group').getByLabel('mini-wide').uncheck();
    await visitor.settled();
    const [first] = JSON.parse(
      await printed('leaderboard', '--run', '1', '--json', '--anchor', 'mini-deep'),
    );
    await expect.poll(async () => (await shown(visitor))[0]).toBe(first.id);
    expect(await page.getByRole('columnheader', { name: 'mini-wide' }).count()).toBe(0);
    visitor.expectNoTrouble();
  });

  test('draws the lines in the window alone, down to the last', async () => {
    const visitor = await Visitor.in(browser);
    const { page } = visitor;
    await visitor.open(`${board.url}leaderboard?run=1`);
    const ids = idsOf(await printed('leaderboard', '--run', '1', '--json', '--top', '10000'));
    expect(ids.length).toBeGreaterThan(150);
    const region = page.getByRole('region', { name: 'Layers, scrolling' });
    await region.focus();
    await page.keyboard.press('End');
    await expect.poll(async () => (await shown(visitor)).at(-1)).toBe(ids.at(-1));
    expect((await shown(visitor)).length).toBeLessThan(80);
    expect(await page.locator('table').getAttribute('aria-rowcount')).toBe(String(ids.length + 1));
    visitor.expectNoTrouble();
  });

  test('leads to a comparison of what is ticked', async () => {
    const visitor = await Visitor.in(browser);
    const { page } = visitor;
    await visitor.open(`${board.url}leaderboard?run=1`);
    const ids = (await shown(visitor)).slice(0, 2);
    for (const id of ids) await page.getByLabel(`Compare ${id}`, { exact: true }).check();
    await page.getByRole('link', { name: `Compare ${ids.join(', ')}` }).click();
    await visitor.settled();
    expect(new URL(page.url()).searchParams.getAll('layer')).toEqual(ids);
    expect(await page.locator('h1').textContent()).toBe(`Compare ${ids.join(', ')}`);
    const drawn = await page.evaluate(() =>
      [...document.images].map((image) => image.naturalWidth),
    );
    expect(drawn).toHaveLength(2);
    for (const width of drawn) expect(width).toBeGreaterThan(50);
    const comparison = JSON.parse(await printed('compare', ...ids, '--json'));
    for (const node of [...comparison.pairs[0].onlyFirst, ...comparison.pairs[0].onlySecond])
      expect(await page.getByText(node, { exact: true }).count()).toBeGreaterThan(0);
    await page.goBack();
    await visitor.settled();
    expect(await page.locator('h1').textContent()).toBe('Leaderboard');
    visitor.expectNoTrouble();
  });
});

describe('a layer', () => {
  test('is copied as the code that the command writes', async () => {
    const visitor = await Visitor.in(browser, { clipboard: true });
    const { page } = visitor;
    await visitor.open(`${board.url}layer?layer=${best}`);
    for (const to of ['pytorch', 'json', 'latex']) {
      await page.locator('.filters select').first().selectOption(to);
      const code = await printed('export', best, '--to', to);
      await expect.poll(() => page.locator('pre.code').textContent()).toBe(code);
      await page.getByRole('button', { name: /^Copy / }).click();
      await page.getByText('Copied').waitFor();
      expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(code);
    }
    visitor.expectNoTrouble();
  });

  test('is typeset, and shows what the command says of it', async () => {
    const visitor = await Visitor.in(browser);
    await visitor.open(`${board.url}layer?layer=EvoNorm-S0`);
    const { page } = visitor;
    expect(await page.locator('.katex-html .mfrac').count()).toBe(1);
    const shown = JSON.parse(await printed('show', 'EvoNorm-S0', '--json'));
    const facts = await page.locator('.facts').textContent();
    expect(facts).toContain(shown.functionalKey);
    expect(await page.locator('pre').first().textContent()).toBe(shown.tree.join('\n'));
    visitor.expectNoTrouble();
  });

  test('is shown as it was trained, beside known layers, and told in words', async () => {
    const visitor = await Visitor.in(browser);
    const { page } = visitor;
    await visitor.open(`${board.url}layer?layer=${best}`);
    const shown = JSON.parse(await printed('show', best, '--json'));
    const [{ protocol, perAnchor }] = shown.evaluations;
    await page.getByRole('heading', { name: `Training under protocol ${protocol}` }).waitFor();
    for (const { anchor, steps, curve } of perAnchor) {
      const chart = page.getByRole('img', { name: `Training on ${anchor}.` });
      const words = await chart.getAttribute('aria-label');
      expect(words).toContain(`over ${steps} steps: this layer from `);
      if (shown.evaluations.length === 1) {
        const [first, last] = [curve[0], curve.at(-1)].map((loss) => Number(loss.toPrecision(3)));
        expect(words).toContain(`this layer from ${first} to ${last}, `);
      }
      expect(words).toMatch(/BN-ReLU from [\d.]+ to [\d.]+/);
      // Lines were drawn, in more than the colours of the axes.
      await chart.scrollIntoViewIfNeeded();
      const colours = await chart.locator('canvas').evaluate((canvas) => {
        const { width, height } = canvas as HTMLCanvasElement;
        const { data } = (canvas as HTMLCanvasElement)
          .getContext('2d')!
          .getImageData(0, 0, width, height);
        const lively = (i: number) =>
          data[i + 3]! > 200 &&
          Math.max(data[i]!, data[i + 1]!, data[i + 2]!) -
            Math.min(data[i]!, data[i + 1]!, data[i + 2]!) >
            60;
        return Array.from({ length: data.length / 4 }, (_, i) => 4 * i).filter(lively).length;
      });
      expect(colours).toBeGreaterThan(500);
    }
    await visitor.open(`${board.url}compare?layer=${best}&layer=EvoNorm-S0&layer=BN-ReLU`);
    const charts = page.getByRole('img', { name: 'Training on ' });
    expect(await charts.count()).toBe(perAnchor.length);
    for (const layer of [best, 'EvoNorm-S0', 'BN-ReLU'])
      expect(await charts.first().getAttribute('aria-label')).toContain(`${layer} from `);
    visitor.expectNoTrouble();
  });

  test('that was evaluated before training curves were kept says so', async () => {
    const path = join(temporaryFolder(), 'older.db');
    const store = openStore(path);
    const run = store.begin({
      ...{ started: TIME.at, config: { stop: { proposals: 1 } } },
      ...{ protocolKey: 'p', protocol: {} },
    });
    store.commit(run, [settled(0)], TIME);
    store.close();
    const { url } = await dashboard(path);
    const visitor = await Visitor.in(browser);
    await visitor.open(`${url}layer?layer=r1-0`);
    const text = await visitor.page.locator('main').textContent();
    expect(text).toContain('This layer was evaluated before evolayer kept training curves');
    expect(await visitor.page.getByRole('img', { name: 'Training on ' }).count()).toBe(0);
    await visitor.expectAccessible();
    visitor.expectNoTrouble();
  });
});

test('the keyboard is enough', async () => {
  const visitor = await Visitor.in(browser);
  const { page } = visitor;
  await visitor.open(`${board.url}leaderboard?run=1`);
  await page.keyboard.press('Tab');
  const focused = (of: 'id' | 'textContent') =>
    page.evaluate((of) => document.activeElement?.[of]?.trim(), of);
  await expect.poll(() => focused('textContent')).toBe('Skip to the content');
  await page.keyboard.press('Enter');
  await expect.poll(() => focused('id')).toBe('main');
  await page.getByRole('button', { name: 'n', exact: true }).focus();
  await page.keyboard.press('Enter');
  await expect.poll(() => page.url()).toContain('sort=evaluations');
  await visitor.settled();
  await page.getByRole('link', { name: 'Runs', exact: true }).focus();
  await page.keyboard.press('Enter');
  await expect.poll(() => page.locator('h1').textContent()).toBe('Runs');
  await expect.poll(() => focused('id')).toBe('main');
  visitor.expectNoTrouble();
});

describe('what is not there', () => {
  test('an empty database says how to fill it', async () => {
    const empty = join(temporaryFolder(), 'empty.db');
    openStore(empty).close();
    const { url } = await dashboard(empty);
    const visitor = await Visitor.in(browser);
    await visitor.open(url);
    expect(await visitor.page.locator('main').textContent()).toContain(
      `evolayer search --db ${empty}`,
    );
    await visitor.expectAccessible();
    await visitor.open(`${url}leaderboard`);
    expect(await visitor.page.locator('.empty').textContent()).toMatch(/No layer is scored yet/);
    await visitor.expectAccessible();
    visitor.expectNoTrouble();
  });

  test('a layer or a run that is none is told in a sentence', async () => {
    const visitor = await Visitor.in(browser);
    const { page } = visitor;
    for (const [path, says] of [
      ['layer?layer=sinh(x)', /unknown op "sinh"/],
      ['layer?layer=r1-99999', /There is no layer r1-99999/],
      ['runs/77', /There is no run 77/],
      ['leaderboard?sort=size', /must be one of/],
      ['compare?layer=x&layer=r9-9', /There is no layer r9-9/],
    ] as const) {
      await page.goto(board.url + path);
      const alert = page.getByRole('alert').first();
      await alert.waitFor();
      expect(await alert.textContent()).toMatch(says);
      await visitor.expectAccessible();
    }
  });

  test('a dashboard that ended is told, without losing what is shown', async () => {
    const listening = await listen({ db, host: '127.0.0.1', port: 0 });
    const visitor = await Visitor.in(browser);
    await visitor.open(listening.url);
    await listening.close();
    const { page } = visitor;
    await page.getByText('The dashboard does not answer; is it still running?').waitFor();
    expect(await visitor.cells()).toHaveLength(2);
  });
});

test('hostile names, formulas and messages show as text', async () => {
  const path = join(temporaryFolder(), 'hostile.db');
  const store = openStore(path);
  const hostile = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>';
  const run = store.begin({
    started: TIME.at,
    config: { stop: { proposals: 3 }, seed: 1, algorithm: hostile },
    protocolKey: `p<b>${hostile}`.slice(0, 90),
    protocol: {},
  });
  store.commit(
    run,
    [
      settled(-1, { origin: { kind: 'baseline', name: hostile } }),
      settled(0, { outcome: { outcome: 'crashed', message: hostile }, functionalKey: 'bad' }),
      settled(1, { outcome: evaluated(0.9, 0.9) }),
    ],
    { ...TIME, faults: [{ index: 0, at: TIME.at, kind: 'thread', message: hostile }] },
  );
  store.close();
  const { url } = await dashboard(path);
  const visitor = await Visitor.in(browser);
  const { page } = visitor;
  for (const view of ['', 'runs/1', 'runs/1/rejections', 'leaderboard', 'layer?layer=r1-0']) {
    await visitor.open(url + view);
    expect(
      await page.evaluate(() => (window as unknown as { hacked?: number }).hacked),
    ).toBeUndefined();
    expect(await page.locator('main').textContent()).toContain('<img src=x onerror=');
    expect(await page.locator('img[src="x"]').count()).toBe(0);
  }
  visitor.expectNoTrouble();
});

test('a token in the address lets in, and leaves the address', async () => {
  const { url } = await dashboard(db, { host: '0.0.0.0' });
  const visitor = await Visitor.in(browser);
  await visitor.open(url.replace('0.0.0.0', '127.0.0.1'));
  expect(visitor.page.url()).not.toContain('token');
  expect(await visitor.cells()).toHaveLength(2);
  await visitor.page.getByRole('link', { name: 'run 1', exact: true }).click();
  await visitor.settled();
  visitor.expectNoTrouble();
});

test('a report opens from the disk, keeps nobody out, and asks nobody', async () => {
  const file = join(temporaryFolder(), 'report.html');
  await inProcess(['report', '1', '--db', db, '-o', file]);
  for (const colours of ['light', 'dark'] as const) {
    const visitor = await Visitor.in(browser, { colours });
    await visitor.page.goto(`file://${file}`);
    await visitor.expectAccessible();
    const drawn = await visitor.page.evaluate(() =>
      [...document.images].map((image) => image.naturalWidth),
    );
    expect(drawn.length).toBeGreaterThan(4);
    for (const width of drawn) expect(width).toBeGreaterThan(50);
    if (colours === 'light') await visitor.picture('report');
    visitor.expectNoTrouble();
  }
  expect(readFileSync(file).length).toBeLessThan(5e6);
});
