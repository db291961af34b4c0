import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
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

const bundle = dirname(program);

/** The text of a file of the bundle, and of all that it loads with it. */
function loadedWith(file: string, seen = new Set<string>()): string {
  if (seen.has(file)) return '';
  seen.add(file);
  const text = readFileSync(join(bundle, file), 'utf8');
  const imports = text.matchAll(/^(?:import|\}) *(?:from *)?"\.\/([^"]+)";/gm);
  return text + [...imports].map(([, imported]) => loadedWith(imported!, seen)).join('');
}

const commandFile = (command: string): string =>
  readdirSync(bundle).find((file) => new RegExp(`^${command}-[A-Z0-9]+\\.js$`).test(file))!;

const ZOD = 'node_modules/zod/';

test.each(['runs', 'stats', 'leaderboard', 'show', 'compare', 'export', 'zoo'])(
  '%s starts without what checks configurations, which takes longer to load than the command to answer',
  (command) => {
    expect(loadedWith(commandFile(command))).not.toContain(ZOD);
  },
);

test('what checks configurations brings no messages in other languages along', () => {
  const text = loadedWith(commandFile('search'));
  expect(text).toContain(ZOD);
  expect(text).not.toContain(`${ZOD}v4/locales/fr`);
});
