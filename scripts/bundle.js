// Makes one file, and a few beside it, of the compiled program and of most libraries: reading a hundred
// small files takes longer than most commands do. What is left out reads files of its own at run time.
import { rmSync } from 'node:fs';
import { build } from 'esbuild';

const OUTPUT = 'dist/bundle';

rmSync(OUTPUT, { recursive: true, force: true });
await build({
  entryPoints: ['dist/bin/evolayer.js'],
  outdir: OUTPUT,
  bundle: true,
  // What a command imports when it is called stays apart until then.
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  external: [
    '@fastify/*',
    'better-sqlite3',
    'fastify',
    'fastify-type-provider-zod',
    'jstat',
    'node-gyp-build',
    'pino',
    'piscina',
    'vega',
    '@tensorflow/*',
  ],
  // For libraries that are no ES modules.
  banner: {
    js: "import { createRequire as evolayerRequire } from 'node:module'; const require = evolayerRequire(import.meta.url);",
  },
  logLevel: 'warning',
});
