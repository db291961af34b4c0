// Runs tests on the addon that `build-addon.js --sanitize` built: those of the kernels, or those that are named.
// Node itself is not instrumented, so the sanitizer's library has to be there before it.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

const wanted = process.argv.slice(2);
const named = wanted.some((word) => !word.startsWith('-'));
const { status } = spawnSync(
  process.execPath,
  [
    'node_modules/vitest/vitest.mjs',
    'run',
    ...(named ? [] : ['test/eval/native']),
    // How exact functions are is a matter of the optimised code alone, in which products and sums are fused.
    '--exclude=test/eval/native/elementary.test.ts',
    // A hundred times as slow as without, at worst.
    '--testTimeout=600000',
    ...wanted,
  ],
  {
    stdio: 'inherit',
    env: {
      // A tenth of the random cases, unless the caller wants another share.
      EVOLAYER_RUNS: '0.1',
      ...process.env,
      LD_PRELOAD: library('libasan.so'),
      // What Node leaves behind when it ends is no leak of ours.
      ASAN_OPTIONS: 'detect_leaks=0:handle_segv=0:quarantine_size_mb=16',
      UBSAN_OPTIONS: 'print_stacktrace=1',
      // Read by node-gyp-build: where the addon is, in place of this package's build folder.
      EVOLAYER_PREBUILD: resolve('build/sanitize'),
    },
  },
);
process.exitCode = status ?? 1;

function library(name) {
  const { stdout } = spawnSync('g++', [`-print-file-name=${name}`], { encoding: 'utf8' });
  const path = stdout?.trim();
  if (path && existsSync(path)) return path;
  throw new Error(`g++ knows of no ${name}, which comes with it.`);
}
