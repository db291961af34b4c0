import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../src/eval/package-root.ts';
import { evolayer } from './process.ts';

const { bin } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8'));
const program = join(packageRoot(), bin.evolayer);

test.each([
  [['--help']],
  [['zoo', '--json']],
  [['show', 'x * sigmoid(v1 * x)']],
  [['networks', '--anchor', 'mini-wide', '--json']],
  [['search', '--proposals', 'many']],
  [['runs', '--db', 'absent.db']],
])(
  '%j says the same from the bundle, which users run, as from the compiled files',
  async (args) => {
    const [bundled, compiled] = await Promise.all([evolayer(args, { program }), evolayer(args)]);
    expect(bundled).toEqual(compiled);
  },
);
