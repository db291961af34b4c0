import type { Command } from 'commander';
import type { LeaderboardRow } from '../../../db/leaderboard.ts';
import type { Store } from '../../../db/store.ts';
import { UserError } from '../../errors.ts';
import { isBatchIndependent, layerOf } from '../../graph/genome.ts';
import { formatLayer } from '../../graph/text.ts';
import { zooNameOf } from '../../graph/zoo.ts';
import { candidateId } from '../../search/ids.ts';
import { didYouMean } from '../../suggest.ts';
import { countFrom, dbOption, jsonOption } from '../options.ts';
import { type Column, note, percent, print, printJson, table } from '../output.ts';
import { reading } from '../reading.ts';

export const leaderboardCommand = (program: Command) =>
  program
    .command('leaderboard')
    .addOption(dbOption())
    .option('--run <n>', 'only what this run met', countFrom('--run', Number.MAX_SAFE_INTEGER))
    .option('--protocol <key>', 'the protocol; by default that of the youngest run')
    .option('--top <n>', 'how many, besides the known layers', countFrom('--top', 1_000_000), 20)
    .addOption(jsonOption())
    .action(leaderboard);

export interface LeaderboardOptions {
  readonly db: string;
  readonly run?: number;
  readonly protocol?: string;
  readonly top: number;
  readonly json?: true;
}

/** One line of the leaderboard. */
export interface Entry {
  readonly rank: number;
  /** In the zoo. */
  readonly name: string | null;
  readonly id: string;
  readonly formula: string;
  readonly protocol: string;
  readonly fitness: {
    readonly mean: number;
    readonly perAnchor: readonly { readonly anchor: string; readonly accuracy: number }[];
  };
  readonly evaluations: number;
  readonly batchIndependent: boolean;
  readonly origin: string;
}

export function leaderboard(options: LeaderboardOptions) {
  const { entries, scored } = readLeaderboard(options);
  if (options.json) return printJson(entries);
  if (entries.length === 0) return print(`${options.db} has no scored layers yet.`);
  print(table(entries, columnsFor(entries[0]!)));
  note(`Protocol ${entries[0]!.protocol}; ${scored} layers were scored under it.`);
}

/** The best `top` layers, and below them the known ones that are not among these. */
export function readLeaderboard(options: Omit<LeaderboardOptions, 'json'>) {
  return reading(options.db, (store) => {
    const protocolKey = protocolFor(store, options);
    if (protocolKey === null) return { entries: [], scored: 0 };
    const { run, top } = options;
    const rows = store.leaderboard.top({ protocolKey, top, ...(run !== undefined && { run }) });
    return { entries: rows.map((row) => entryOf(row, protocolKey)), scored: rows[0]?.of ?? 0 };
  });
}

function protocolFor({ runs, path }: Store, { run, protocol }: Omit<LeaderboardOptions, 'top'>) {
  const all = runs.list();
  const chosen = run === undefined ? all.at(-1) : all.find(({ id }) => id === run);
  if (run !== undefined && !chosen) throw new UserError(`There is no run ${run} in ${path}.`);
  if (protocol === undefined) return chosen?.protocolKey ?? null;
  const keys = runs.protocols().map(({ key }) => key);
  const matches = keys.filter((key) => key.startsWith(protocol));
  if (matches.length === 1) return matches[0]!;
  const known = keys.length > 0 ? `the protocols there are ${keys.join(', ')}` : 'there is none';
  throw new UserError(
    `There is no protocol ${JSON.stringify(protocol)} in ${path}; ${known}.${didYouMean(protocol, keys)}`,
  );
}

function entryOf(row: LeaderboardRow, protocol: string): Entry {
  const { rank, candidate, run, fitness, perAnchor, evaluations, baseline } = row;
  const layer = layerOf(candidate.genome);
  const { index, origin } = candidate;
  const name = baseline ?? zooNameOf(row.functionalKey);
  return {
    rank,
    name,
    id: index < 0 ? name! : candidateId({ run, index }),
    formula: formatLayer(layer),
    protocol,
    fitness: { mean: fitness, perAnchor },
    evaluations,
    batchIndependent: isBatchIndependent(layer),
    origin: origin.kind,
  };
}

const columnsFor = ({ fitness }: Entry): Column<Entry>[] => [
  { head: '#', value: ({ rank }) => rank, align: 'right' },
  { head: 'layer', value: ({ name, id }) => (name && name !== id ? `${name} (${id})` : id) },
  { head: 'mean', value: (entry) => percent(entry.fitness.mean), align: 'right' },
  ...fitness.perAnchor.map(
    ({ anchor }): Column<Entry> => ({
      head: anchor,
      value: (entry) => percent(accuracyOn(anchor, entry)),
      align: 'right',
    }),
  ),
  { head: 'n', value: ({ evaluations }) => evaluations, align: 'right' },
  { head: 'B/S', value: ({ batchIndependent }) => (batchIndependent ? 'S' : 'B') },
  { head: 'formula', value: ({ formula }) => formula, flexible: true },
];

const accuracyOn = (anchor: string, { fitness }: Entry): number =>
  fitness.perAnchor.find((score) => score.anchor === anchor)?.accuracy ?? Number.NaN;
