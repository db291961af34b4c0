import { OUTCOME_NAMES } from '../../eval/outcome.ts';
import { duration, estimate, percent, points, printable, rate } from '../../format.ts';
import type { Ancestor } from '../../reading/lineage.ts';
import type { RunStats } from '../../reading/stats.ts';
import { type Cell, html, type Markup, table } from './html.ts';
import type { Told } from './report.ts';

/* The parts of a report, in the words and numbers of the commands. */

const share = (part: number, whole: number) => (whole > 0 ? percent(part / whole) : '');
const time = (iso: string | null) => (iso === null ? '' : iso.slice(0, 19).replace('T', ' '));
const times = (value: number | null) => (value === null ? '?' : `${value.toFixed(2)} times`);
const code = (text: string): Markup => html`<code>${text}</code>`;

export function head({
  run,
  state,
  reason,
  seconds,
  sessions,
  protocol,
  started,
}: RunStats): Markup {
  const how = reason ? `${state} (${printable(reason)})` : state;
  const counted = sessions.length === 1 ? '1 session' : `${sessions.length} sessions`;
  return html`<h1>Run ${run}</h1>
<p>A search for the layers that neural networks have between their convolutions. Begun ${time(started)} UTC, ${how}; ${duration(seconds)} in ${counted}; protocol <code>${protocol}</code>.</p>
`;
}

/** How many examples, at most, a list of the best has. */
export function best({ entries, asked, stats }: Told): Markup {
  if (entries.length === 0) return html`<p>No layer is scored yet.</p>`;
  const anchors = entries[0]!.fitness.perAnchor.map(({ anchor }) => anchor);
  const top = stats.improvements.at(-1)?.fitness;
  const bar = Math.max(
    ...stats.baselines.map(({ fitness }) => fitness ?? Number.NEGATIVE_INFINITY),
  );
  const difference =
    top !== undefined && Number.isFinite(bar)
      ? html`<p>The best proposal has ${percent(top)}, ${points(top - bar)} to the best known layer.</p>`
      : null;
  return html`<h2>The best layers</h2>
${difference}
<p class="note">Of ${asked} layers that were scored, the best and the known ones. ± is the 95 % confidence interval over n evaluations; B depends on the batch, S does not.</p>
${table('Leaderboard', entries, [
  { head: '#', value: ({ rank }) => rank, number: true },
  { head: 'layer', value: ({ name, id }) => (name && name !== id ? `${name} (${id})` : id) },
  { head: 'mean', value: ({ fitness: f }) => estimate(f.mean, f.interval), number: true },
  ...anchors.map(
    (anchor, i): Cell<(typeof entries)[number]> => ({
      head: anchor,
      value: ({ fitness }) => {
        const one = fitness.perAnchor[i]!;
        return estimate(one.accuracy, one.interval);
      },
      number: true,
    }),
  ),
  ...(entries.some(({ confirmed }) => confirmed)
    ? [
        {
          head: 'confirmed',
          value: ({ confirmed }: (typeof entries)[number]) => (confirmed ? 'yes' : ''),
        },
      ]
    : []),
  { head: 'n', value: ({ evaluations }) => evaluations, number: true },
  { head: 'nodes', value: ({ nodes }) => nodes, number: true },
  { head: 'B/S', value: ({ batchIndependent }) => (batchIndependent ? 'S' : 'B') },
  { head: 'formula', value: ({ formula }) => code(formula) },
])}`;
}

interface KeyEntry {
  readonly name: string;
  readonly colour: string;
}

export const figure = (caption: string, drawn: Markup, key: readonly KeyEntry[] = []): Markup =>
  html`<figure>
<figcaption>${caption}</figcaption>
${drawn}
${
  key.length === 0
    ? null
    : html`<ul class="key">${key.map(
        ({ name, colour }) =>
          html`<li><svg viewBox="0 0 9 7" aria-hidden="true"><rect width="9" height="7" fill="${colour}"/></svg>${name}</li>`,
      )}</ul>`
}
</figure>
`;

export const numbers = (told: Told): Markup => html`<h2>In numbers</h2>
${funnel(told.stats)}
${cache(told.stats)}
${known(told.stats)}
${improvements(told.stats)}
${front(told.stats)}
${rejected(told)}
${audits(told.stats)}
${sessions(told.stats)}
${faults(told.stats)}`;

function funnel({ outcomes, proposals, trained }: RunStats): Markup {
  const rows = [
    ...OUTCOME_NAMES.filter((name) => outcomes[name] > 0).map(
      (name) => [name as string, outcomes[name]] as const,
    ),
    ['trained to the end', trained] as const,
  ];
  return table(`Funnel of ${proposals} proposals`, rows, [
    { head: 'outcome', value: ([name]) => name },
    { head: 'proposals', value: ([, count]) => count, number: true },
    { head: 'share', value: ([, count]) => share(count, proposals), number: true },
  ]);
}

const TIERS = ['structural', 'functional'] as const;

function cache(stats: RunStats): Markup {
  const { hashing, proposals, work } = stats;
  const { functions, hits, hitRate, spared, paid, speedUp, textbookSpeedUp } = hashing;
  const taken =
    hitRate === null ? '' : `; ${percent(hitRate)} of them took over a score or a rejection`;
  const { evaluating, auditing, available } = work;
  const of = available
    ? `; of the workers’ ${duration(available)} that is ${share(evaluating + auditing, available)}`
    : '';
  const audits = auditing > 0 ? ` and ${duration(auditing)} in audits` : '';
  return html`${table('Cache', TIERS, [
    { head: 'recognised by', value: (tier) => `${tier} key` },
    { head: 'hits', value: (tier) => hits[tier].full, number: true },
    { head: 'share', value: (tier) => share(hits[tier].full, functions), number: true },
    { head: 'evaluated once more', value: (tier) => hits[tier].partial, number: true },
  ])}
<p class="note">${functions} of ${proposals} proposals compute a function${taken}. ${screening(hashing)} Hits spared ${duration(spared)} of evaluations beside the ${duration(paid)} that were paid for: the cache made the run ${times(speedUp)} as fast (by the formula 1 / (c_hash / c_eval + 1 − h) ${times(textbookSpeedUp)}). Workers spent ${duration(evaluating)} in evaluations${audits}${of}.</p>
${hitAudits(stats)}`;
}

function screening({ keys, probes, screening, screeningShare }: RunStats['hashing']): string {
  if (screening === null) return `${keys} keys; what they took was not noted.`;
  const part = screeningShare === null ? '' : `, ${percent(screeningShare)} of the run’s time`;
  return `${keys} keys and ${probes} probes took ${screening.toFixed(2)} s${part}.`;
}

const describeRate = (rate: number | null): string => (rate === null ? '?' : percent(rate));
const describeInterval = (interval: readonly [number, number] | null): string =>
  interval === null ? '?' : `${(100 * interval[0]).toFixed(2)} to ${percent(interval[1])}`;

function hitAudits({ audits }: RunStats): Markup | null {
  if (audits === null) return null;
  const { tiers, tested, control, noise, repeated } = audits;
  const rows = [
    ['by structural key', tiers.structural],
    ['by functional key', tiers.functional],
    ['score of the same graph (control)', control],
    ['score of another graph', tested],
  ] as const;
  const count = tiers.structural.audits + tiers.functional.audits;
  const from = `${repeated.evaluations} evaluations of ${repeated.graphs} graphs under the protocol`;
  return html`${table(`Audits: ${count} hits evaluated again`, rows, [
    { head: 'hits', value: ([name]) => name },
    { head: 'audits', value: ([, { audits }]) => audits, number: true },
    { head: 'agree', value: ([, { agrees }]) => agrees, number: true },
    { head: 'differ', value: ([, { differs }]) => differs, number: true },
    { head: 'one rejected', value: ([, { rejected }]) => rejected, number: true },
    { head: 'open', value: ([, { open }]) => open, number: true },
    { head: 'false', value: ([, { rate }]) => describeRate(rate), number: true },
    { head: '95 %', value: ([, { interval }]) => describeInterval(interval) },
  ])}
<p class="note">${
    noise === null
      ? `Too few graphs were evaluated several times to know the noise (${from}).`
      : `One evaluation is off by σ = ${(100 * noise.sigma).toFixed(2)} points (${from}).`
  }</p>`;
}

function known({ baselines, improvements }: RunStats): Markup | null {
  if (baselines.length === 0) return null;
  const top = improvements.at(-1)?.fitness;
  return table('Known layers', baselines, [
    { head: 'layer', value: ({ name }) => printable(name) },
    {
      head: 'mean',
      value: (b) => (b.fitness === null ? b.outcome : percent(b.fitness)),
      number: true,
    },
    {
      head: 'the best is better by',
      value: (b) => (b.fitness === null || top === undefined ? '' : points(top - b.fitness)),
      number: true,
    },
  ]);
}

function improvements({ improvements }: RunStats): Markup | null {
  if (improvements.length === 0) return null;
  return table('The best over time', improvements, [
    { head: 'from (UTC)', value: ({ at }) => time(at) },
    { head: 'mean', value: ({ fitness }) => percent(fitness), number: true },
    { head: 'layer', value: ({ id }) => id },
    { head: 'formula', value: ({ formula }) => code(formula) },
  ]);
}

const FRONT_ROWS = 20;

function front({ front }: RunStats): Markup | null {
  if (front.length === 0) return null;
  const anchors = front[0]!.perAnchor.map(({ anchor }) => anchor);
  const more = front.length > FRONT_ROWS ? `, the best ${FRONT_ROWS} of them` : '';
  return table(
    `Front: ${front.length} layers that no other dominates${more}`,
    front.slice(0, FRONT_ROWS),
    [
      { head: 'layer', value: ({ id }) => id },
      { head: 'mean', value: ({ fitness }) => percent(fitness), number: true },
      ...anchors.map(
        (anchor, i): Cell<(typeof front)[number]> => ({
          head: printable(anchor),
          value: ({ perAnchor }) => percent(perAnchor[i]!.accuracy),
          number: true,
        }),
      ),
      { head: 'formula', value: ({ formula }) => code(formula) },
    ],
  );
}

function rejected({ reasons }: Told): Markup | null {
  if (reasons.length === 0) return null;
  const rows = reasons.flatMap(({ outcome, examples }) =>
    examples.map((example) => ({ outcome, ...example })),
  );
  return table('Examples of rejections, the youngest of each kind', rows, [
    { head: 'outcome', value: ({ outcome }) => outcome },
    { head: 'layer', value: ({ id }) => id },
    { head: 'why', value: ({ description }) => description },
    { head: 'formula', value: ({ formula }) => code(formula) },
  ]);
}

function audits({
  rejections: { tests, both, decile, trained, seconds },
}: RunStats): Markup | null {
  if (both.audits === 0) return null;
  const rows = [
    ['quality', tests['low-quality']],
    ['stability', tests.unstable],
    ['both', both],
  ] as const;
  const caption = `Rejections: ${both.audits} of ${both.rejected} trained to the end all the same`;
  return html`${table(caption, rows, [
    { head: 'rejected by', value: ([name]) => name },
    { head: 'rejections', value: ([, { rejected }]) => rejected, number: true },
    { head: 'audits', value: ([, { audits }]) => audits, number: true },
    { head: 'top decile', value: ([, { top }]) => top, number: true },
    { head: 'below', value: ([, { below }]) => below, number: true },
    { head: 'diverged', value: ([, { diverged }]) => diverged, number: true },
    { head: 'open', value: ([, { open }]) => open, number: true },
    { head: 'share', value: ([, { rate }]) => describeRate(rate), number: true },
    { head: '95 %', value: ([, { interval }]) => describeInterval(interval) },
  ])}
${decile === null ? null : html`<p class="note">The top decile of the ${trained} proposals that the run trained to the end begins at ${percent(decile)}; the audits took ${duration(seconds)}.</p>`}`;
}

function sessions({ sessions }: RunStats): Markup | null {
  if (sessions.length === 0) return null;
  return table('Sessions', sessions, [
    { head: '#', value: ({ number }) => number, number: true },
    { head: 'started (UTC)', value: ({ started }) => time(started) },
    {
      head: 'state',
      value: ({ state, reason }) => (reason ? `${state}: ${printable(reason)}` : state),
    },
    { head: 'time', value: ({ seconds }) => duration(seconds), number: true },
    { head: 'workers', value: ({ workers }) => workers, number: true },
    { head: 'proposals', value: ({ proposals }) => proposals, number: true },
    { head: 'rate', value: (s) => rate(s.proposalsPerSecond), number: true },
    { head: 'evaluations', value: ({ evaluations }) => evaluations, number: true },
    { head: 'rate', value: (s) => rate(s.evaluationsPerSecond), number: true },
  ]);
}

const FAULT_ROWS = 20;

function faults({ faults }: RunStats): Markup | null {
  if (faults.length === 0) return null;
  const which = faults.length > FAULT_ROWS ? `, the last ${FAULT_ROWS}` : '';
  return table(`Faults: ${faults.length}${which}`, faults.slice(-FAULT_ROWS), [
    { head: 'at (UTC)', value: ({ at }) => time(at) },
    { head: 'kind', value: ({ kind }) => kind },
    { head: 'proposal', value: ({ index }) => index ?? '', number: true },
    { head: 'what', value: ({ message }) => printable(message) },
  ]);
}

export const lineage = (line: readonly Ancestor[]): Markup => html`<h3>Lineage</h3>
<ol class="lineage">
${line.map(
  ({
    id,
    origin,
    formula,
    fitness,
    changes,
  }) => html`<li><p>${id} ${changes === null ? origin : ''} ${fitness === null ? '' : percent(fitness)}</p>
${(changes ?? []).map(({ node, before, after }) => html`<p>${code(`#${node}: ${before} → ${after}`)}</p>`)}
${code(formula)}</li>
`,
)}</ol>`;

export const configuration = (
  config: unknown,
  { run }: RunStats,
): Markup => html`<h2>Configuration</h2>
<p class="note">All settings of run ${run}, as a file that <code>--config</code> takes.</p>
<pre>${printableLines(JSON.stringify(config, null, 1))}</pre>`;

const printableLines = (text: string): string => text.split('\n').map(printable).join('\n');
