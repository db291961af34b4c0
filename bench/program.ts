import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../src/eval/package-root.ts';

/** The program that a user starts. */
export function program(): string {
  const { bin } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8'));
  const path = join(packageRoot(), bin.evolayer);
  if (!existsSync(path)) throw new Error(`${path} is missing; run: npm run build`);
  return path;
}
