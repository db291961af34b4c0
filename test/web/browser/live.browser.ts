import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { start, TINY, temporaryFolder } from '../../cli/process.ts';
import { dashboard } from '../dashboard.ts';
import { openBrowser, Visitor } from './visitor.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await openBrowser();
}, 60_000);
afterAll(() => browser?.close());

/** A search that goes on until the test is over. */
async function search(): Promise<string> {
  const db = join(temporaryFolder(), 'live.db');
  const flags = ['--db', db, '--proposals', '1000000', '--workers', '1'];
  const { process, says, ended } = start(['search', ...TINY, ...flags]);
  onTestFinished(async () => {
    process.kill('SIGKILL');
    await ended;
  });
  await says('run 1: 1 workers');
  return db;
}

test('rows and numbers of a live run appear without reloading', async () => {
  const { url } = await dashboard(await search());
  const visitor = await Visitor.in(browser);
  const { page } = visitor;
  await visitor.open(url);
  await page.evaluate(() => Object.assign(window, { kept: true }));
  await page.getByText('live: 1 running').waitFor();
  const proposals = async () => Number((await visitor.cells())[0]?.[3]?.split(' ')[0]);
  const before = await proposals();
  await expect.poll(proposals, { timeout: 20_000 }).toBeGreaterThan(before);

  await page.getByRole('link', { name: 'run 1', exact: true }).click();
  await visitor.settled();
  const fact = async (name: string) =>
    await page.locator('.facts > div', { hasText: name }).first().locator('dd').textContent();
  await expect.poll(() => fact('state')).toBe('running');
  await page.getByText('time left').waitFor();
  const reached = async () => Number((await fact('proposals'))?.split(' ')[0]);
  const then = await reached();
  await expect.poll(reached, { timeout: 20_000 }).toBeGreaterThan(then);
  await page.getByRole('img', { name: /Mean accuracy of every proposal/ }).waitFor();
  await visitor.expectAccessible();
  await visitor.picture('run-live');

  await page.getByRole('link', { name: 'Leaderboard' }).click();
  await visitor.page.locator('.lines').waitFor();
  const lines = async () => Number(await page.locator('table').getAttribute('aria-rowcount'));
  const first = await lines();
  await expect.poll(lines, { timeout: 20_000 }).toBeGreaterThan(first);
  expect(await page.evaluate(() => (window as unknown as { kept?: boolean }).kept)).toBe(true);
  visitor.expectNoTrouble();
}, 120_000);

test('every page of a live run is whole', async () => {
  const { url } = await dashboard(await search());
  const visitor = await Visitor.in(browser);
  for (const path of [
    '',
    'runs/1',
    'runs/1/rejections',
    'leaderboard',
    'layer?layer=r1-0',
    'compare?layer=BN-ReLU&layer=r1-0',
  ]) {
    await visitor.page.goto(url + path);
    await visitor.page.locator('h1').waitFor();
    await visitor.page.locator('.state[role=status]').first().waitFor({ state: 'detached' });
    await visitor.expectAccessible();
  }
  visitor.expectNoTrouble();
}, 120_000);
