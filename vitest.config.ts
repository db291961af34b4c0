import { defineConfig } from 'vitest/config';

/** What only the addon of `npm run test:sanitize` can pass. */
const sanitized = process.env.EVOLAYER_PREBUILD ? ['test/**/*.sanitized.ts'] : [];

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', ...sanitized],
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
