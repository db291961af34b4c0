import { Command } from 'commander';
import { packageVersion } from '../eval/package-root.ts';
import { report } from './errors.ts';

const NOTES = `
LAYER is an id such as r1-42, a name of the zoo such as EvoNorm-S0, a formula such as
"x * sigmoid(v1 * x) / std[whc/g](x)", or a file such as ./layer.json that \`export --to json\` wrote.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted after saving.
Results go to standard output, progress to standard error.`;

interface CommandEntry {
  readonly name: string;
  readonly doc: string;
  /** Loads what defines its arguments and options, and does its work. */
  readonly load: () => Promise<(program: Command) => Command>;
}

const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'search',
    doc: 'Evolve layers, and keep what is found in the database.',
    load: async () => (await import('./commands/search.ts')).searchCommand,
  },
  {
    name: 'resume',
    doc: 'Go on with a search that stopped, or extend one that is finished.',
    load: async () => (await import('./commands/resume.ts')).resumeCommand,
  },
  {
    name: 'runs',
    doc: 'List the searches in a database.',
    load: async () => (await import('./commands/runs.ts')).runsCommand,
  },
  {
    name: 'stats',
    doc: 'Tell how a run went: funnel, cache, time, sessions, best layers, faults.',
    load: async () => (await import('./commands/stats.ts')).statsCommand,
  },
  {
    name: 'leaderboard',
    doc: 'Rank the layers that were scored under one protocol.',
    load: async () => (await import('./commands/leaderboard.ts')).leaderboardCommand,
  },
  {
    name: 'show',
    doc: 'Tell what is known of a layer: its formula, keys, and how it fared.',
    load: async () => (await import('./commands/show.ts')).showCommand,
  },
  {
    name: 'compare',
    doc: 'Set layers side by side: what they compute, how their graphs differ, how they fared.',
    load: async () => (await import('./commands/compare.ts')).compareCommand,
  },
  {
    name: 'inspect',
    doc: 'Tell how layers treat signals and gradients before any training, beside BN-ReLU.',
    load: async () => (await import('./commands/inspect.ts')).inspectCommand,
  },
  {
    name: 'evaluate',
    doc: 'Train networks with a layer, and report the validation accuracy of each.',
    load: async () => (await import('./commands/evaluate.ts')).evaluateCommand,
  },
  {
    name: 'config',
    doc: 'Print the configuration of a search, or the schema of configuration files.',
    load: async () => (await import('./commands/config.ts')).configCommand,
  },
  {
    name: 'doctor',
    doc: 'Tell what this machine can train with, what is missing, and how to get it.',
    load: async () => (await import('./commands/doctor.ts')).doctorCommand,
  },
  {
    name: 'zoo',
    doc: 'List the known layers.',
    load: async () => (await import('./commands/zoo.ts')).zooCommand,
  },
  {
    name: 'data',
    doc: 'List, fetch and check data sets.',
    load: async () => (await import('./commands/data.ts')).dataCommand,
  },
  {
    name: 'networks',
    doc: 'List the networks that layers are scored in, with their size.',
    load: async () => (await import('./commands/networks.ts')).networksCommand,
  },
  {
    name: 'export',
    doc: 'Write a layer as code, formula, picture or data, to standard output or to files.',
    load: async () => (await import('./commands/export.ts')).exportCommand,
  },
  {
    name: 'import',
    doc: 'Check the file of a layer, and tell what it holds.',
    load: async () => (await import('./commands/import.ts')).importCommand,
  },
  {
    name: 'confirm',
    doc: 'Train the best layers of a run and known ones again, longer, and test the differences.',
    load: async () => (await import('./commands/confirm.ts')).confirmCommand,
  },
  {
    name: 'study',
    doc: 'Compare ways to search with the same training: a table, a figure and a report.',
    load: async () => (await import('./commands/study.ts')).studyCommand,
  },
  {
    name: 'dashboard',
    doc: 'Show a database in the browser, live while a search writes it.',
    load: async () => (await import('./commands/dashboard.ts')).dashboardCommand,
  },
  {
    name: 'report',
    doc: 'Write a run as one page that needs nothing else, to send or to print.',
    load: async () => (await import('./commands/report.ts')).reportCommand,
  },
  {
    name: 'completion',
    doc: 'Print a script that completes command lines in bash, zsh or fish.',
    load: async () => (await import('./commands/completion.ts')).completionCommand,
  },
  {
    name: 'export-run',
    doc: 'Write one run, with all that it relies on, as a database of its own.',
    load: async () => (await import('./commands/export-run.ts')).exportRunCommand,
  },
  {
    name: 'prune',
    doc: 'Delete runs from a database.',
    load: async () => (await import('./commands/prune.ts')).pruneCommand,
  },
];

/** The program, with the named commands whole; of the others it knows the name and what they do. */
async function program(wanted: readonly string[]): Promise<Command> {
  const root = new Command('evolayer')
    .description('Discovers normalization-activation layers by evolution.')
    .version(packageVersion())
    .addHelpText('after', NOTES)
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .exitOverride();
  for (const { name, doc, load } of COMMANDS) {
    const add = wanted.includes(name) ? await load() : () => root.command(name);
    add(root).description(doc);
  }
  return root;
}

/** The command that the arguments begin with, which may be a question for its help. */
const commandIn = ([first, second]: readonly string[]): string[] =>
  [first === 'help' ? second : first].filter((name) => name !== undefined);

/** Answers the script of a shell: what the last of these words can become. */
async function complete(words: readonly string[]): Promise<number> {
  const { completionsOf } = await import('./completions.ts');
  const root = await program(words.slice(0, 1));
  const all = COMMANDS.map(({ name, doc }) => ({ value: name, doc }));
  const command = root.commands.find((known) => known.name() === words[0]);
  const found = await completionsOf(words, command, all);
  process.stdout.write(found.map(({ value, doc }) => `${value}\t${doc}\n`).join(''));
  return 0;
}

/** Runs one command line and returns its exit code. */
export async function run(args: readonly string[]): Promise<number> {
  try {
    if (args[0] === 'complete' && args[1] === '--') return await complete(args.slice(2));
    const root = await program(commandIn(args));
    await root.parseAsync(args.map(protectFormula), { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    return report(error);
  }
}

/** A formula that begins with a minus is no flag: the space in front of it, which formulas may have, says so. */
const protectFormula = (arg: string): string =>
  /^-\s*(x\b|v[01]\b|[01(]|[a-z]+[[(])/.test(arg) ? ` ${arg}` : arg;
