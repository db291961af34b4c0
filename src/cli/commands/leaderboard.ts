import { type Command, Option } from 'commander';
import type { LeaderboardQuery, SortKey } from '../../../db/leaderboard.ts';
import { UserError } from '../../errors.ts';
import { didYouMean } from '../../suggest.ts';
import { type Entry, entryOf } from '../entries.ts';
import { countFrom, dateFrom, dbOption, jsonOption } from '../options.ts';
import { type Column, estimate, note, print, printJson, table } from '../output.ts';
import { protocolFor } from '../protocols.ts';
import { reading } from '../reading.ts';
import { CONFIDENCE, type Interval } from '../statistics.ts';
import { csv, markdown } from '../text.ts';

const SORT_KEYS = ['fitness', 'evaluations', 'nodes', 'age'] as const;
const collect = (value: string, before: readonly string[] = []) => [...before, value];

export const leaderboardCommand = (program: Command) =>
  program
    .command('leaderboard')
    .addOption(dbOption())
    .option('--run <n>', 'only what this run met', countFrom('--run', Number.MAX_SAFE_INTEGER))
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

export interface LeaderboardOptions {
  readonly db: string;
  readonly top: number;
  readonly run?: number;
  readonly protocol?: string;
  readonly anchor?: readonly string[];
  readonly sort?: string;
  readonly pareto?: true;
  readonly batchIndependent?: true;
  readonly minEvaluations?: number;
  /** ISO 8601. */
  readonly since?: string;
  readonly json?: true;
  readonly csv?: true;
  readonly md?: true;
}

export function leaderboard(options: LeaderboardOptions) {
  const { entries, asked, protocol } = readLeaderboard(options);
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

/** The best `top` layers, and below them the known ones that are not among these. */
export function readLeaderboard(options: LeaderboardOptions) {
  return reading(options.db, (store) => {
    const protocol = protocolFor(store, options);
    const anchors = protocol === null ? [] : store.leaderboard.anchors(protocol);
    if (protocol === null || anchors.length === 0) return { entries: [], asked: 0, protocol: null };
    const query = queryOf(options, protocol, anchors);
    const rows = store.leaderboard.top(query);
    const entries = rows.map((row) => entryOf(row, protocol, anchors, query.anchors));
    return { entries, asked: rows[0]?.of ?? 0, protocol };
  });
}

function queryOf(
  options: LeaderboardOptions,
  protocolKey: string,
  anchors: readonly string[],
): LeaderboardQuery {
  const { top, run, pareto, batchIndependent, minEvaluations, since, sort = 'fitness' } = options;
  const named = options.anchor?.flatMap((text) => text.split(',')).filter((name) => name !== '');
  const places = named && [...new Set(named.map((name) => placeOf(name, anchors)))];
  return {
    ...{ protocolKey, top, sort: sortKeyOf(sort, anchors) },
    ...(places && places.length > 0 && { anchors: places }),
    ...(run !== undefined && { run }),
    ...(pareto && { pareto }),
    ...(batchIndependent && { batchIndependent }),
    ...(minEvaluations !== undefined && { minEvaluations }),
    ...(since !== undefined && { since }),
  };
}

function placeOf(name: string, anchors: readonly string[]): number {
  const place = anchors.indexOf(name);
  if (place >= 0) return place;
  throw new UserError(
    `The protocol has no anchor ${JSON.stringify(name)}; it has ${anchors.join(', ')}.${didYouMean(name, anchors)}`,
  );
}

function sortKeyOf(text: string, anchors: readonly string[]): SortKey {
  const key = SORT_KEYS.find((known) => known === text);
  if (key) return key;
  const anchor = anchors.indexOf(text);
  if (anchor >= 0) return { anchor };
  const known = [...SORT_KEYS, ...anchors];
  throw new UserError(
    `--sort is ${JSON.stringify(text)}; it must be one of ${known.join(', ')}.${didYouMean(text, known)}`,
  );
}

const columnsFor = ([first]: readonly Entry[]): Column<Entry>[] => [
  { head: '#', value: ({ rank }) => rank, align: 'right' },
  { head: 'layer', value: ({ name, id }) => (name && name !== id ? `${name} (${id})` : id) },
  { head: 'mean', value: ({ fitness: f }) => estimate(f.mean, f.interval), align: 'right' },
  ...first!.fitness.perAnchor.map(
    ({ anchor }, i): Column<Entry> => ({
      head: anchor,
      value: ({ fitness }) => {
        const score = fitness.perAnchor[i]!;
        return estimate(score.accuracy, score.interval);
      },
      align: 'right',
    }),
  ),
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
  head.push('evaluations', 'nodes', 'batch independent', 'origin', 'protocol', 'formula');
  const rows = entries.map(({ fitness, ...e }) => [
    ...[e.rank, e.name, e.id],
    ...[fitness.mean, ...ends(fitness.interval)],
    ...fitness.perAnchor.flatMap((score) => [score.accuracy, ...ends(score.interval)]),
    ...[e.evaluations, e.nodes, e.batchIndependent ? 'yes' : 'no', e.origin, e.protocol, e.formula],
  ]);
  return [head, ...rows];
}
