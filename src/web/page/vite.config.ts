import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const folder = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Every browser that runs the page reads WOFF2; KaTeX brings each font in two other formats too. */
const onlyWoff2: Plugin = {
  name: 'only-woff2',
  enforce: 'pre',
  transform: (code, id) =>
    id.includes('katex') && id.endsWith('.css')
      ? code.replaceAll(/,\s*url\([^)]*\.(?:woff|ttf)\)\s*format\([^)]*\)/g, '')
      : null,
};

export default defineConfig({
  root: folder('.'),
  base: '/',
  logLevel: 'warn',
  plugins: [onlyWoff2],
  build: {
    outDir: folder('../../../dist/web'),
    emptyOutDir: true,
    target: 'es2022',
    // The content security policy allows no script or style that is not a file.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
});
