import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { packageRoot } from '../eval/package-root.ts';
import { evaluateCommand } from './commands/evaluate.ts';
import { exportCommand } from './commands/export.ts';
import { leaderboardCommand } from './commands/leaderboard.ts';
import { networksCommand } from './commands/networks.ts';
import { runsCommand } from './commands/runs.ts';
import { searchCommand } from './commands/search.ts';
import { showCommand } from './commands/show.ts';
import { zooCommand } from './commands/zoo.ts';
import { report } from './errors.ts';

const version = (): string =>
  JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')).version;

const NOTES = `
LAYER is an id such as r1-42, a name of the zoo such as EvoNorm-S0, or a formula such as
"x * sigmoid(v1 * x) / std[whc/g](x)".

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted after saving.
Results go to standard output, progress to standard error.`;

const COMMANDS = [
  searchCommand,
  runsCommand,
  leaderboardCommand,
  showCommand,
  evaluateCommand,
  zooCommand,
  networksCommand,
  exportCommand,
];

function program(): Command {
  const root = new Command('evolayer')
    .description('Discovers normalization-activation layers by evolution.')
    .version(version())
    .addHelpText('after', NOTES)
    .exitOverride();
  for (const add of COMMANDS) add(root);
  return root;
}

/** Runs one command line and returns its exit code. */
export async function run(args: readonly string[]): Promise<number> {
  try {
    await program().parseAsync(args.map(protectFormula), { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    return report(error);
  }
}

/** A formula that begins with a minus is no flag: the space in front of it, which formulas may have, says so. */
const protectFormula = (arg: string): string =>
  /^-\s*(x\b|v[01]\b|[01(]|[a-z]+[[(])/.test(arg) ? ` ${arg}` : arg;
