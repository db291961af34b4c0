import { type Command, Option } from 'commander';
import { estimate } from '../../format.ts';
import { dateFrom } from '../../reading/dates.ts';
import type { Entry } from '../../reading/entries.ts';
import { type LeaderboardChoice, leaderboardIn, SORT_KEYS } from '../../reading/leaderboard.ts';
import { reading } from '../../reading/open.ts';
import { CONFIDENCE, type Interval } from '../../reading/statistics.ts';
import { countFrom, dbOption, jsonOption, runNumberFrom } from '../options.ts';
import { type Column, note, print, printJson, table } from '../output.ts';
import { csv, markdown } from '../text.ts';

const collect = (value: string, before: readonly string[] = []) => [...before, value];

export const leaderboardCommand = (program: Command) =>
  program
    .command('leaderboard')
    .addOption(dbOption())
    .option('--run <n>', 'only what this run met', runNumberFrom('--run'))
    .option('--protocol <key>', 'the protocol, or how its key begins; the youngest run’s otherwise')
    .option('--top <n>', 'how many, besides the known layers', countFrom('--top', 1_000_000), 20)
    .option('--sort <key>', `${SORT_KEYS.join(', ')}, or an anchor`, 'fitness')
    .option('--anchor <name>', 'count only this anchor; repeatable', collect)
    .option('--pareto', 'only those that no other one beats on all anchors')
    .option('--batch-independent', 'only those that do not depend on the batch')
    .option(
      '--min-evaluations <n>',
      'only what was evaluated this often',
      countFrom('--min-evaluations', 1_000_000),
    )
    .option('--since <date>', 'only what was scored first since then', dateFrom('--since'))
    .addOption(jsonOption())
    .addOption(new Option('--csv', 'print CSV').conflicts(['json', 'md']))
    .addOption(new Option('--md', 'print a Markdown table').conflicts(['json', 'csv']))
    .action(leaderboard);

export interface LeaderboardOptions extends LeaderboardChoice {
  readonly db: string;
  readonly json?: true;
  readonly csv?: true;
  readonly md?: true;
}

export function leaderboard(options: LeaderboardOptions) {
  const { entries, asked, protocol } = reading(options.db, (store) =>
    leaderboardIn(store, options),
  );
  if (options.json) return printJson(entries);
  if (options.csv) return print(csv(csvRows(entries)));
  if (entries.length === 0)
    return print(`${options.db} has no scored layers${protocol === null ? ' yet' : ' like that'}.`);
  const columns = columnsFor(entries);
  if (options.md) return print(asMarkdown(entries, columns));
  print(table(entries, columns));
  note(`Protocol ${entries[0]!.protocol}; ${asked} layers${describeIntervals(entries)}`);
}

const describeIntervals = (entries: readonly Entry[]): string =>
  entries.some(({ evaluations }) => evaluations > 1)
    ? `; ± is the ${100 * CONFIDENCE} % confidence interval over n evaluations.`
    : ', each evaluated once.';

const columnsFor = (entries: readonly Entry[]): Column<Entry>[] => [
  { head: '#', value: ({ rank }) => rank, align: 'right' },
  { head: 'layer', value: ({ name, id }) => (name && name !== id ? `${name} (${id})` : id) },
  { head: 'mean', value: ({ fitness: f }) => estimate(f.mean, f.interval), align: 'right' },
  ...entries[0]!.fitness.perAnchor.map(
    ({ anchor }, i): Column<Entry> => ({
      head: anchor,
      value: ({ fitness }) => {
        const score = fitness.perAnchor[i]!;
        return estimate(score.accuracy, score.interval);
      },
      align: 'right',
    }),
  ),
  ...(entries.some(({ confirmed }) => confirmed)
    ? [{ head: 'confirmed', value: ({ confirmed }: Entry) => (confirmed ? 'yes' : '') }]
    : []),
  { head: 'n', value: ({ evaluations }) => evaluations, align: 'right' },
  { head: 'nodes', value: ({ nodes }) => nodes, align: 'right' },
  { head: 'B/S', value: ({ batchIndependent }) => (batchIndependent ? 'S' : 'B') },
  { head: 'formula', value: ({ formula }) => formula, flexible: true },
];

const asMarkdown = (entries: readonly Entry[], columns: readonly Column<Entry>[]): string =>
  markdown(
    columns.map(({ head, align }) => ({ text: head, right: align === 'right' })),
    entries.map((entry) => columns.map(({ value }) => String(value(entry)))),
  );

const ends = (interval: Interval | null) => interval ?? [null, null];

function csvRows(entries: readonly Entry[]) {
  const anchors = entries[0]?.fitness.perAnchor.map(({ anchor }) => anchor) ?? [];
  const estimates = ['mean', ...anchors].flatMap((name) => [name, `${name} low`, `${name} high`]);
  const head = ['rank', 'name', 'id', ...estimates];
  head.push(
    'evaluations',
    'nodes',
    'batch independent',
    'origin',
    'confirmed',
    'protocol',
    'formula',
  );
  const rows = entries.map(({ fitness, ...e }) => [
    ...[e.rank, e.name, e.id],
    ...[fitness.mean, ...ends(fitness.interval)],
    ...fitness.perAnchor.flatMap((score) => [score.accuracy, ...ends(score.interval)]),
    ...[
      e.evaluations,
      e.nodes,
      e.batchIndependent ? 'yes' : 'no',
      e.origin,
      e.confirmed ? 'yes' : 'no',
    ],
    ...[e.protocol, e.formula],
  ]);
  return [head, ...rows];
}
