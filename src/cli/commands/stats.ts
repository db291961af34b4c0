import type { Command } from 'commander';
import type { Store } from '../../../db/store.ts';
import { OUTCOME_NAMES } from '../../eval/outcome.ts';
import { duration, percent, points, rate } from '../../format.ts';
import type { AuditCounts } from '../../reading/audits.ts';
import type { AuditStats, HashingStats } from '../../reading/hashing.ts';
import { reading } from '../../reading/open.ts';
import type { RejectionCounts, RejectionStats } from '../../reading/rejections.ts';
import { type RunState, runState } from '../../reading/states.ts';
import { type FrontLayer, type RunStats, statsOf } from '../../reading/stats.ts';
import { dbOption, jsonOption, runNumberFrom } from '../options.ts';
import { type Column, outColours, print, printJson, table } from '../output.ts';

export const statsCommand = (program: Command) =>
  program
    .command('stats')
    .argument('[run]', 'the run; by default the youngest', runNumberFrom('The run'))
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
  const wanted = id ?? store.runs.youngest();
  if (wanted === null) return null;
  const found = runState(store, wanted);
  if (found) return found;
  throw store.noRun(wanted);
}

const titled = (title: string, body: string) => `\n${outColours.bold(title)}\n${body}`;
const share = (part: number, whole: number) => (whole > 0 ? percent(part / whole) : '');

const head = (stats: RunStats): string => {
  const { run, db, state, reason, seconds, sessions } = stats;
  const how = reason ? `${state} (${reason})` : state;
  const counted = sessions.length === 1 ? '1 session' : `${sessions.length} sessions`;
  return `run ${run} in ${db}: ${how}, ${duration(seconds)} in ${counted}, protocol ${stats.protocol}`;
};

function funnel({ proposals, outcomes, trained }: RunStats): string {
  const rows = [
    ...OUTCOME_NAMES.filter((name) => outcomes[name] > 0).map(
      (name) => [name as string, outcomes[name]] as const,
    ),
    ['trained to the end', trained] as const,
  ];
  const body = table(rows, [
    { head: 'outcome', value: ([name]) => name },
    { head: 'proposals', value: ([, count]) => count, align: 'right' },
    { head: 'share', value: ([, count]) => share(count, proposals), align: 'right' },
  ]);
  return titled(`Funnel of ${proposals} proposals`, body);
}

function work({ work: { evaluating, auditing, available } }: RunStats): string {
  const audits = auditing > 0 ? ` and ${duration(auditing)} in audits` : '';
  const known = available
    ? `; of the workers' ${duration(available)} that is ${share(evaluating + auditing, available)}`
    : '';
  return titled('Time of the workers', `${duration(evaluating)} in evaluations${audits}${known}`);
}

const TIERS = ['structural', 'functional'] as const;

const times = (value: number | null) => (value === null ? '?' : `${value.toFixed(2)} times`);

function cache({ hashing, proposals }: RunStats): string {
  const { functions, hits, hitRate } = hashing;
  const partial = TIERS.some((tier) => hits[tier].partial > 0);
  const body = table(TIERS, [
    { head: 'recognised by', value: (tier) => `${tier} key` },
    { head: 'hits', value: (tier) => hits[tier].full, align: 'right' },
    { head: 'share', value: (tier) => share(hits[tier].full, functions), align: 'right' },
    ...(partial
      ? [
          {
            head: 'evaluated once more',
            value: (tier: (typeof TIERS)[number]) => hits[tier].partial,
            align: 'right',
          } as const,
        ]
      : []),
  ]);
  const all =
    hitRate === null ? '' : `; ${percent(hitRate)} of them took over a score or a rejection`;
  const lines = [
    body,
    `${functions} of ${proposals} proposals compute a function${all}`,
    screening(hashing),
    ...redraws(hashing),
    `hits spared ${duration(hashing.spared)} of evaluations beside the ${duration(hashing.paid)} that were paid for: the cache made the run ${times(hashing.speedUp)} as fast (by the formula 1 / (c_hash / c_eval + 1 − h) ${times(hashing.textbookSpeedUp)})`,
  ];
  return titled('Cache', lines.join('\n'));
}

function screening({ keys, probes, screening, screeningShare }: HashingStats): string {
  if (screening === null) return `${keys} keys; what they took was not noted`;
  const part = screeningShare === null ? '' : `, ${percent(screeningShare)} of the run’s time`;
  return `${keys} keys and ${probes} probes took ${screening.toFixed(2)} s${part}`;
}

function redraws({ redraws: { neutral, tabu } }: HashingStats): string[] {
  const reasons = [
    ...(neutral > 0 ? [`${neutral} that computed what their parent does`] : []),
    ...(tabu > 0 ? [`${tabu} that computed what had been proposed too often`] : []),
  ];
  return reasons.length > 0 ? [`not proposed: ${reasons.join(', ')}`] : [];
}

function audits({ audits, hashing: { hits } }: RunStats): string {
  if (audits === null) {
    const count = hits.structural.full + hits.functional.full;
    return titled('Audits', `none of ${count} hits was evaluated again (setting cache.audit)`);
  }
  const { tiers, tested, control } = audits;
  const groups: readonly (readonly [string, AuditCounts])[] = [
    ['by structural key', tiers.structural],
    ['by functional key', tiers.functional],
    ['score of the same graph (control)', control],
    ['score of another graph', tested],
  ];
  const body = table(groups, [
    { head: 'hits', value: ([name]) => name },
    { head: 'audits', value: ([, { audits }]) => audits, align: 'right' },
    { head: 'agree', value: ([, { agrees }]) => agrees, align: 'right' },
    { head: 'differ', value: ([, { differs }]) => differs, align: 'right' },
    { head: 'one rejected', value: ([, { rejected }]) => rejected, align: 'right' },
    { head: 'open', value: ([, { open }]) => open, align: 'right' },
    { head: 'false', value: ([, { rate }]) => describeRate(rate), align: 'right' },
    { head: '95 %', value: ([, { interval }]) => describeInterval(interval) },
  ]);
  return titled(
    `Audits: ${tiers.structural.audits + tiers.functional.audits} hits evaluated again`,
    `${body}\n${describeNoise(audits)}`,
  );
}

const describeRate = (rate: number | null): string => (rate === null ? '?' : percent(rate));

const describeInterval = (interval: readonly [number, number] | null): string =>
  interval === null ? '?' : `${(100 * interval[0]).toFixed(2)} to ${percent(interval[1])}`;

function describeNoise({ noise, repeated: { evaluations, graphs } }: AuditStats): string {
  const from = `${evaluations} evaluations of ${graphs} graphs under the protocol`;
  if (noise === null)
    return `too few graphs were evaluated several times to know the noise (${from}), so that differences cannot be judged`;
  const sigma = (100 * noise.sigma).toFixed(2);
  return `one evaluation is off by σ = ${sigma} points (${from}); those differ that lie further apart than 3·√2·σ, or more where σ or the score is of few evaluations`;
}

function rejections({ rejections }: RunStats): string {
  const { both } = rejections;
  if (both.audits === 0)
    return titled(
      'Rejections',
      `none of ${both.rejected} by early tests was trained to the end (setting rejectionAudit)`,
    );
  const body = table(byTest(rejections), [
    { head: 'rejected by', value: ([name]) => name },
    { head: 'rejections', value: ([, { rejected }]) => rejected, align: 'right' },
    { head: 'audits', value: ([, { audits }]) => audits, align: 'right' },
    { head: 'top decile', value: ([, { top }]) => top, align: 'right' },
    { head: 'below', value: ([, { below }]) => below, align: 'right' },
    { head: 'diverged', value: ([, { diverged }]) => diverged, align: 'right' },
    { head: 'open', value: ([, { open }]) => open, align: 'right' },
    { head: 'share', value: ([, { rate }]) => describeRate(rate), align: 'right' },
    { head: '95 %', value: ([, { interval }]) => describeInterval(interval) },
  ]);
  return titled(
    `Rejections: ${both.audits} of ${both.rejected} trained to the end all the same`,
    `${body}\n${describeDecile(rejections)}`,
  );
}

/** Of the tests that rejected anything, and of both where both did. */
function byTest({ tests, both }: RejectionStats): (readonly [string, RejectionCounts])[] {
  const all = [
    ['quality', tests['low-quality']],
    ['stability', tests.unstable],
  ] as const;
  const found = all.filter(([, { rejected }]) => rejected > 0);
  return found.length > 1 ? [...found, ['both', both]] : found;
}

const describeDecile = ({ decile, trained, seconds }: RejectionStats): string =>
  decile === null
    ? `the run trained no proposal to the end that these could be compared with; they took ${duration(seconds)}`
    : `the top decile of the ${trained} proposals that the run trained to the end begins at ${(100 * decile).toFixed(2)} %; the audits took ${duration(seconds)}`;

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

const SECTIONS = [
  head,
  funnel,
  cache,
  audits,
  rejections,
  work,
  sessions,
  baselines,
  improvements,
  front,
  faults,
] as const;
