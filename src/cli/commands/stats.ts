import type { Command } from 'commander';
import type { Store } from '../../../db/store.ts';
import { UserError } from '../../errors.ts';
import { OUTCOME_NAMES } from '../../eval/outcome.ts';
import { countFrom, dbOption, jsonOption } from '../options.ts';
import {
  type Column,
  duration,
  outColours,
  percent,
  points,
  print,
  printJson,
  rate,
  table,
} from '../output.ts';
import { reading } from '../reading.ts';
import { type RunState, runStates } from '../states.ts';
import { type FrontLayer, type RunStats, statsOf } from '../stats.ts';

export const statsCommand = (program: Command) =>
  program
    .command('stats')
    .argument('[run]', 'the run; by default the youngest', countFrom('The run', 1e15))
    .addOption(dbOption())
    .addOption(jsonOption())
    .action(stats);

function stats(id: number | undefined, { db, json }: { db: string; json?: true }) {
  const found = reading(db, (store) => {
    const state = chosen(store, id);
    return state && statsOf(store, state);
  });
  if (json) return printJson(found);
  if (found === null) return print(`${db} has no runs yet.`);
  for (const section of SECTIONS) {
    const text = section(found);
    if (text !== null) print(text);
  }
}

function chosen(store: Store, id: number | undefined): RunState | null {
  const all = runStates(store);
  if (id === undefined) return all.at(-1) ?? null;
  const found = all.find(({ run }) => run.id === id);
  if (found) return found;
  throw new UserError(`There is no run ${id} in ${store.path}; it has ${all.length} runs.`);
}

const titled = (title: string, body: string) => `\n${outColours.bold(title)}\n${body}`;
const share = (part: number, whole: number) => (whole > 0 ? percent(part / whole) : '');

const head = (stats: RunStats): string => {
  const { run, db, state, reason, seconds, sessions } = stats;
  const how = reason ? `${state} (${reason})` : state;
  const counted = sessions.length === 1 ? '1 session' : `${sessions.length} sessions`;
  return `run ${run} in ${db}: ${how}, ${duration(seconds)} in ${counted}, protocol ${stats.protocol}`;
};

function funnel({ proposals, outcomes, cacheHits, trained }: RunStats): string {
  const rows = [
    ...OUTCOME_NAMES.filter((name) => outcomes[name] > 0).map(
      (name) => [name as string, outcomes[name]] as const,
    ),
    ['trained to the end', trained] as const,
    ['cache hits, structural', cacheHits.structural] as const,
    ['cache hits, functional', cacheHits.functional] as const,
  ];
  const body = table(rows, [
    { head: 'outcome', value: ([name]) => name },
    { head: 'proposals', value: ([, count]) => count, align: 'right' },
    { head: 'share', value: ([, count]) => share(count, proposals), align: 'right' },
  ]);
  return titled(`Funnel of ${proposals} proposals`, body);
}

function work({ work: { evaluating, available } }: RunStats): string {
  const known = available
    ? `; of the workers' ${duration(available)} that is ${share(evaluating, available)}`
    : '';
  return titled('Time of the workers', `${duration(evaluating)} in evaluations${known}`);
}

const time = (iso: string | null) => (iso === null ? '' : iso.slice(0, 19).replace('T', ' '));

function sessions({ sessions }: RunStats): string | null {
  if (sessions.length === 0) return null;
  const body = table(sessions, [
    { head: '#', value: ({ number }) => number, align: 'right' },
    { head: 'started', value: ({ started }) => time(started) },
    { head: 'state', value: ({ state, reason }) => (reason ? `${state}: ${reason}` : state) },
    { head: 'time', value: ({ seconds }) => duration(seconds), align: 'right' },
    { head: 'workers', value: ({ workers }) => workers, align: 'right' },
    { head: 'proposals', value: ({ proposals }) => proposals, align: 'right' },
    { head: 'rate', value: (s) => rate(s.proposalsPerSecond), align: 'right' },
    { head: 'evaluations', value: ({ evaluations }) => evaluations, align: 'right' },
    { head: 'rate', value: (s) => rate(s.evaluationsPerSecond), align: 'right' },
  ]);
  return titled('Sessions', body);
}

function baselines({ baselines, improvements }: RunStats): string | null {
  if (baselines.length === 0) return null;
  const best = improvements.at(-1)?.fitness;
  const body = table(baselines, [
    { head: 'layer', value: ({ name }) => name },
    { head: 'mean', value: (b) => (b.fitness === null ? b.outcome : percent(b.fitness)) },
    {
      head: 'the best is better by',
      value: (b) => (b.fitness === null || best === undefined ? '' : points(best - b.fitness)),
      align: 'right',
    },
  ]);
  return titled('Known layers', body);
}

function improvements({ improvements }: RunStats): string | null {
  if (improvements.length === 0) return null;
  const body = table(improvements, [
    { head: 'from', value: ({ at }) => time(at) },
    { head: 'mean', value: ({ fitness }) => percent(fitness), align: 'right' },
    { head: 'layer', value: ({ id }) => id },
    { head: 'formula', value: ({ formula }) => formula, flexible: true },
  ]);
  return titled('The best over time', body);
}

const FRONT_ROWS = 20;

function front({ front }: RunStats): string | null {
  if (front.length === 0) return null;
  const anchors = front[0]!.perAnchor.map(
    ({ anchor }, i): Column<FrontLayer> => ({
      head: anchor,
      value: ({ perAnchor }) => percent(perAnchor[i]!.accuracy),
      align: 'right',
    }),
  );
  const body = table(front.slice(0, FRONT_ROWS), [
    { head: 'layer', value: ({ id }) => id },
    { head: 'mean', value: ({ fitness }) => percent(fitness), align: 'right' },
    ...anchors,
    { head: 'formula', value: ({ formula }) => formula, flexible: true },
  ]);
  const more = front.length > FRONT_ROWS ? `\nand ${front.length - FRONT_ROWS} more` : '';
  return titled(`Front: ${front.length} layers that no other dominates`, body + more);
}

const FAULT_ROWS = 10;

function faults({ faults }: RunStats): string | null {
  if (faults.length === 0) return null;
  const body = table(faults.slice(-FAULT_ROWS), [
    { head: 'at', value: ({ at }) => time(at) },
    { head: 'kind', value: ({ kind }) => kind },
    { head: 'proposal', value: ({ index }) => index ?? '', align: 'right' },
    { head: 'what', value: ({ message }) => message, flexible: true },
  ]);
  const which = faults.length > FAULT_ROWS ? `, the last ${FAULT_ROWS}` : '';
  return titled(`Faults: ${faults.length}${which}`, body);
}

const SECTIONS = [head, funnel, work, sessions, baselines, improvements, front, faults] as const;
