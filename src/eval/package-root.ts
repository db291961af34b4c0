import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The folder of this package's package.json and data, whether this file runs as a source or compiled
 * below `dist`.
 */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  const isRoot = () => ['package.json', 'data'].every((name) => existsSync(join(folder, name)));
  while (!isRoot()) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('internal: no package.json with data above the program');
    folder = parent;
  }
  return folder;
}

export const packageVersion = (): string =>
  JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')).version;
