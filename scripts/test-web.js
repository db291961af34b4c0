// Runs the tests that need a browser: of the dashboard, and of reports. With --screenshots they leave their
// pictures in docs/screens. What follows is passed on to the test runner.
import { spawnSync } from 'node:child_process';
import { browserPath, NO_BROWSER } from './browser.js';

const browser = browserPath();
if (browser === undefined) {
  process.stderr.write(`${NO_BROWSER}\n`);
  process.exit(1);
}
const args = process.argv.slice(2).filter((arg) => arg !== '--screenshots');
const screenshots = process.argv.includes('--screenshots') ? 'docs/screens' : '';
const { status } = spawnSync(
  process.execPath,
  ['node_modules/vitest/vitest.mjs', 'run', 'test/web/browser', ...args],
  {
    stdio: 'inherit',
    env: { ...process.env, EVOLAYER_BROWSER: browser, EVOLAYER_SCREENSHOTS: screenshots },
  },
);
process.exitCode = status ?? 1;
