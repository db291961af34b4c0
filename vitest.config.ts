import { defineConfig } from 'vitest/config';

/** What only the addon of `npm run test:sanitize` can pass. */
const sanitized = process.env.EVOLAYER_PREBUILD ? ['test/**/*.sanitized.ts'] : [];
/** What needs PyTorch, for `npm run test:exports`. */
const pytorch = process.env.EVOLAYER_PYTORCH ? ['test/**/*.pytorch.ts'] : [];
/** What needs a browser: `npm run test:web`. */
const browser = process.env.EVOLAYER_BROWSER ? ['test/**/*.browser.ts'] : [];

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', ...sanitized, ...pytorch, ...browser],
    setupFiles: ['test/setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
