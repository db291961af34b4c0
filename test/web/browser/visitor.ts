import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import axe from 'axe-core';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { expect, onTestFinished } from 'vitest';

/** The browser of `npm run test:web`. */
export const openBrowser = (): Promise<Browser> => {
  const executablePath = process.env.EVOLAYER_BROWSER;
  if (!executablePath) throw new Error('EVOLAYER_BROWSER names no browser; run: npm run test:web');
  return chromium.launch({ executablePath, args: ['--no-sandbox'] });
};

interface Options {
  readonly width?: number;
  readonly height?: number;
  readonly colours?: 'light' | 'dark';
  readonly clipboard?: true;
}

/** Somebody who looks at pages, and notices what goes wrong on them. */
export class Visitor {
  readonly page: Page;
  readonly context: BrowserContext;
  /** What the console was told, what failed to load, and what was asked of other machines. */
  readonly troubles: string[] = [];

  private constructor(context: BrowserContext, page: Page) {
    this.context = context;
    this.page = page;
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) this.troubles.push(message.text());
    });
    page.on('pageerror', (error) => this.troubles.push(String(error)));
    page.on('request', (request) => {
      const { protocol, hostname } = new URL(request.url());
      const isHere = ['127.0.0.1', 'localhost'].includes(hostname);
      if (!isHere && !['data:', 'file:'].includes(protocol)) this.troubles.push(request.url());
    });
    page.on('response', (response) => {
      if (response.status() >= 400) this.troubles.push(`${response.status()} ${response.url()}`);
    });
  }

  static async in(browser: Browser, options: Options = {}): Promise<Visitor> {
    const { width = 1280, height = 900, colours = 'light', clipboard } = options;
    const context = await browser.newContext({
      ...{ viewport: { width, height }, colorScheme: colours },
      ...(clipboard && { permissions: ['clipboard-read', 'clipboard-write'] }),
    });
    onTestFinished(() => context.close());
    context.setDefaultTimeout(20_000);
    return new Visitor(context, await context.newPage());
  }

  /** Opens an address and waits until all of it is there. */
  async open(url: string): Promise<void> {
    await this.page.goto(url);
    await this.settled();
  }

  /** Waits until nothing is being loaded: no answer, no picture, no formula. */
  async settled(): Promise<void> {
    await this.page.waitForFunction(() => {
      const isLoading = [...document.querySelectorAll('.state[role=status], .stale')].length > 0;
      const images = [...document.images].every((image) => image.complete);
      const formulas = [...document.querySelectorAll('.typeset')].every(
        (one) => one.children.length > 0,
      );
      return document.querySelector('h1') !== null && !isLoading && images && formulas;
    });
  }

  /** Fails where axe-core finds something that keeps people out. */
  async expectAccessible(): Promise<void> {
    await this.page.evaluate(axe.source);
    const violations = await this.page.evaluate(async () => {
      const { axe: inPage } = window as unknown as { axe: typeof axe };
      const { violations } = await inPage.run(document, { resultTypes: ['violations'] });
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
    });
    expect(violations).toEqual([]);
  }

  /** Fails where the page is wider than its window. */
  async expectFitting(): Promise<void> {
    const [width, room] = await this.page.evaluate(() => [
      document.documentElement.scrollWidth,
      document.documentElement.clientWidth,
    ]);
    expect(width).toBeLessThanOrEqual(room!);
  }

  expectNoTrouble(): void {
    expect(this.troubles).toEqual([]);
  }

  /** A picture of the whole page, kept where screenshots are wanted. */
  async picture(name: string): Promise<void> {
    const folder = process.env.EVOLAYER_SCREENSHOTS;
    if (folder) mkdirSync(folder, { recursive: true });
    const bytes = await this.page.screenshot({
      ...(folder && { path: join(folder, `${name}.png`) }),
    });
    expect(bytes.length).toBeGreaterThan(10_000);
  }

  /** The cells of the first table, row by row, without those that stand for rows that are not there. */
  cells(): Promise<string[][]> {
    return this.page.evaluate(() =>
      [...document.querySelectorAll('table tbody tr:not(.gap)')].map((row) =>
        [...row.querySelectorAll('td')].map((cell) => cell.textContent?.trim() ?? ''),
      ),
    );
  }
}
