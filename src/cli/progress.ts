import { createLogUpdate } from 'log-update';
import { OUTCOME_NAMES } from '../eval/outcome.ts';
import { layerOf } from '../graph/genome.ts';
import { formatLayer } from '../graph/text.ts';
import { candidateId } from '../search/ids.ts';
import type { FunnelCounts } from '../search/progress.ts';
import type { Progress, SearchEvent } from '../search/run.ts';
import { clip, duration, errColours, note, percent } from './output.ts';

/** What the display of a search remembers. */
interface Standing {
  readonly run: number;
  readonly workers: number;
  readonly progress: Progress;
  /** Accuracies of the known layers, by name; null for one that was rejected. */
  readonly zoo: ReadonlyMap<string, number | null>;
}

/** Where a search's events go. */
export interface ProgressDisplay {
  readonly onEvent: (event: SearchEvent) => void;
  /** A line that stays. */
  readonly say: (text: string) => void;
  readonly end: () => void;
}

const PLAIN_LINE_SECONDS = 10;
const LIVE_FRAME_MS = 100;

/** Live on a terminal, a line now and then elsewhere. */
export const progressDisplay = (stream: NodeJS.WriteStream = process.stderr): ProgressDisplay =>
  stream.isTTY ? liveDisplay(stream) : plainDisplay();

function absorb(before: Standing | undefined, event: SearchEvent): Standing | undefined {
  if (event.type === 'started')
    return { run: event.run.id, workers: event.workers, progress: event.progress, zoo: new Map() };
  if (before === undefined) return before;
  if (event.type === 'committed') return { ...before, progress: event.progress };
  if (event.type === 'baseline')
    return { ...before, zoo: new Map(before.zoo).set(event.name, event.candidate.fitness) };
  return before;
}

const retried = ({ index, message }: Extract<SearchEvent, { type: 'retried' }>) =>
  `proposal ${index}: the worker failed and is tried again (${message})`;

function liveDisplay(stream: NodeJS.WriteStream): ProgressDisplay {
  const view = createLogUpdate(stream);
  let standing: Standing | undefined;
  let drawn = 0;
  const draw = () => {
    if (!standing) return;
    const width = stream.columns ?? 80;
    view(
      describe(standing)
        .map((line) => clip(line, width - 1))
        .join('\n'),
    );
    drawn = performance.now();
  };
  const say = (text: string) => {
    view.clear();
    note(text);
    draw();
  };
  return {
    onEvent(event) {
      standing = absorb(standing, event);
      if (event.type === 'retried') say(retried(event));
      if (performance.now() - drawn >= LIVE_FRAME_MS) draw();
    },
    say,
    end() {
      draw();
      view.done();
    },
  };
}

function plainDisplay(): ProgressDisplay {
  let standing: Standing | undefined;
  let told: Progress | undefined;
  const tell = (progress: Progress) => {
    told = progress;
    note(inOneLine(progress));
  };
  return {
    onEvent(event) {
      standing = absorb(standing, event);
      if (event.type === 'started') note(`run ${event.run.id}: ${event.workers} workers`);
      if (event.type === 'retried') note(retried(event));
      if (event.type === 'baseline') note(`${event.name}: ${score(event.candidate.fitness)}`);
      if (event.type !== 'committed') return;
      if (event.progress.seconds - (told?.seconds ?? 0) >= PLAIN_LINE_SECONDS) tell(event.progress);
    },
    say: note,
    end() {
      if (standing && standing.progress !== told) tell(standing.progress);
    },
  };
}

const score = (fitness: number | null): string =>
  fitness === null ? 'rejected' : percent(fitness);

/** How the proposals ended, without the ways that none of them did. */
export const describeOutcomes = ({ outcomes }: FunnelCounts): string =>
  OUTCOME_NAMES.filter((name) => outcomes[name] > 0)
    .map((name) => `${name} ${outcomes[name]}`)
    .join(', ');

const cacheHitsOf = ({ cacheHits }: FunnelCounts) => cacheHits.structural + cacheHits.functional;

const timeLeft = ({ counts, total, proposalsPerSecond }: Progress): string =>
  duration((total - counts.proposals) / proposalsPerSecond);

function inOneLine(progress: Progress): string {
  const { counts, total, best } = progress;
  return [
    `${counts.proposals} of ${total} proposals`,
    `${counts.evaluated} trained`,
    `${cacheHitsOf(counts)} cache hits`,
    `best ${best ? percent(best.fitness) : 'none yet'}`,
    `${progress.proposalsPerSecond.toFixed(1)}/s`,
    `${timeLeft(progress)} left`,
  ].join(', ');
}

/** The lines of the live display. */
function describe({ run, workers, progress, zoo }: Standing): string[] {
  const { counts, total } = progress;
  const { structural, functional } = counts.cacheHits;
  const rates = `${progress.proposalsPerSecond.toFixed(1)} proposals/s, ${progress.evaluationsPerSecond.toFixed(2)} trained/s`;
  return [
    `run ${run}  ${bar(counts.proposals / total)}  ${counts.proposals} of ${total} proposals  ${timeLeft(progress)} left`,
    `funnel   ${describeOutcomes(counts) || 'nothing yet'}`,
    `cache    ${structural + functional} hits (${structural} structural, ${functional} functional)`,
    `trained  ${counts.evaluated}  (${rates}, ${workers} workers, ${progress.inFlight} in flight)`,
    `best     ${describeBest(run, progress)}`,
    `zoo      ${[...zoo].map(([name, fitness]) => `${name} ${score(fitness)}`).join(', ') || 'not scored yet'}`,
  ];
}

function describeBest(run: number, { best }: Progress): string {
  if (!best) return 'none yet';
  const id = candidateId({ run, index: best.index });
  return `${percent(best.fitness)}  ${id}  ${formatLayer(layerOf(best.genome))}`;
}

const BAR = 24;

const bar = (share: number): string => {
  const filled = Math.round(BAR * share);
  return errColours.green('━'.repeat(filled)) + errColours.dim('━'.repeat(BAR - filled));
};
