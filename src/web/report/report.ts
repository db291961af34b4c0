import { createHash } from 'node:crypto';
import type { Store } from '../../../db/store.ts';
import { packageVersion } from '../../eval/package-root.ts';
import { defaultClassName } from '../../export/class-name.ts';
import type { Exported } from '../../export/exported.ts';
import { latex } from '../../export/latex.ts';
import { svg } from '../../export/svg.ts';
import { contentOf } from '../../export/write.ts';
import { printable } from '../../format.ts';
import { type Course, courseOf, type FitnessColumns, fitnessOfRun } from '../../reading/course.ts';
import type { Entry } from '../../reading/entries.ts';
import { type RejectionReason, rejectionReasons } from '../../reading/examples.ts';
import { exportedOf } from '../../reading/exported.ts';
import { frontsOf, type PairFront } from '../../reading/fronts.ts';
import { namedLayer } from '../../reading/layers.ts';
import { leaderboardIn } from '../../reading/leaderboard.ts';
import { type Ancestor, lineageOf } from '../../reading/lineage.ts';
import type { RunState } from '../../reading/states.ts';
import { type RunStats, statsOf } from '../../reading/stats.ts';
import {
  fitnessChart,
  frontChart,
  funnelChart,
  funnelKey,
  hitsChart,
  throughputChart,
} from './charts.ts';
import { html, Markup, picture } from './html.ts';
import * as sections from './sections.ts';
import { STYLE } from './style.ts';

/** All that a report tells of a run. */
export interface Told {
  readonly stats: RunStats;
  readonly config: unknown;
  readonly course: Course;
  readonly fitness: FitnessColumns;
  readonly fronts: readonly PairFront[];
  readonly reasons: readonly RejectionReason[];
  /** The best layers of the run, with the known ones among them. */
  readonly entries: readonly Entry[];
  /** How many layers these are the best of. */
  readonly asked: number;
  /** The best proposal, which is described more closely; null where none was scored. */
  readonly best: { readonly exported: Exported; readonly lineage: readonly Ancestor[] } | null;
}

const TOP = 20;
const EXAMPLES = 3;

/** Asks all of it in one go; call in a snapshot. */
export function toldOf(store: Store, state: RunState): Told {
  const { id, config } = state.run;
  const { entries, asked } = leaderboardIn(store, { run: id, top: TOP });
  const stats = statsOf(store, state);
  const found = stats.improvements.at(-1);
  const layer = found && namedLayer(store, found.id);
  return {
    ...{ stats, config, entries, asked },
    course: courseOf(store, state),
    fitness: fitnessOfRun(store, id, -1),
    fronts: frontsOf(store, id),
    reasons: rejectionReasons(store, id, EXAMPLES),
    best: layer?.candidate
      ? { exported: exportedOf(store, layer), lineage: lineageOf(layer.candidate, store) }
      : null,
  };
}

/** A run as one file of HTML that needs nothing else: no script, no net. */
export async function reportOf(told: Told): Promise<string> {
  const { stats } = told;
  const title = `evolayer: run ${stats.run}`;
  const digest = createHash('sha256').update(STYLE).digest('base64');
  const policy = `default-src 'none'; img-src data:; style-src 'sha256-${digest}'`;
  const body = [
    sections.head(stats),
    sections.best(told),
    await chartsOf(told),
    sections.numbers(told),
    await layerOf(told),
    sections.configuration(told.config, stats),
  ];
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="evolayer ${packageVersion()}">
<title>${title}</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
<main>
${body}
</main>
</body>
</html>
`.text;
}

async function chartsOf({ stats, course, fitness, fronts }: Told): Promise<Markup> {
  if (stats.proposals === 0) return html`<p>No proposal is committed yet.</p>`;
  const levels = stats.baselines.flatMap(({ name, fitness }) =>
    fitness === null ? [] : [{ name: printable(name), value: fitness }],
  );
  const throughput = throughputChart(course);
  return html`<h2>How it went</h2>
${sections.figure(
  'Mean accuracy of every proposal (dots), the best so far (line) and known layers (dashed).',
  picture(
    await fitnessChart(fitness, levels),
    `${fitness.indices.length} proposals with a fitness over their order.`,
  ),
)}
${sections.figure(
  'How proposals ended, by when they were made.',
  picture(
    await funnelChart(course),
    'Shares of the outcomes over the order of the proposals; the table below has the totals.',
  ),
  funnelKey(course),
)}
${sections.figure(
  'Cache hits: by structural key (solid) and by functional key (dashed).',
  picture(
    await hitsChart(course),
    'Shares of the proposals that took over what was known; the table below has the totals.',
  ),
)}
${
  throughput &&
  sections.figure(
    'Throughput while somebody worked on the run.',
    picture(await throughput, 'Proposals per minute over the order of the proposals.'),
  )
}
${await Promise.all(
  fronts.map(async (pair) =>
    sections.figure(
      `Layers by ${pair.x} and ${pair.y} (blue), the front of these two (red), known layers (black).`,
      picture(await frontChart(pair), `${pair.front.length} layers are on the front.`),
    ),
  ),
)}`;
}

/** What is larger than this is hardly read in a report. */
const LONGEST_CODE = 60_000;

async function layerOf({ best }: Told): Promise<Markup | null> {
  if (!best) return null;
  const { exported, lineage } = best;
  const className = defaultClassName(exported);
  const drawn = await drawnOf(exported, className);
  const code = String(await contentOf('pytorch', exported, { className }));
  return html`<h2>The best layer: ${exported.found ?? exported.zooName ?? ''}</h2>
${await typeset(latex(exported))}
<p><code>${exported.formula}</code></p>
${drawn}
${sections.lineage(lineage)}
<h3>In PyTorch</h3>
${code.length > LONGEST_CODE ? html`<p>Its code is too long to be printed here.</p>` : html`<pre>${code}</pre>`}`;
}

/** A graph that is too large to be drawn is told by its formula alone. */
async function drawnOf(exported: Exported, className: string): Promise<Markup | null> {
  if (exported.layer.nodes.length > MOST_NODES) return null;
  const style = { className, layout: 'nchw' } as const;
  return picture(await svg(exported, style), `The graph of ${exported.formula}.`);
}

const MOST_NODES = 200;

/** MathML, which browsers typeset with fonts of their own. */
async function typeset(formula: string): Promise<Markup> {
  // A large library, for this alone.
  const { default: katex } = await import('katex');
  const text = formula.replaceAll(/^%.*$/gm, '').trim();
  return new Markup(
    katex.renderToString(text, { output: 'mathml', displayMode: true, strict: false }),
  );
}
