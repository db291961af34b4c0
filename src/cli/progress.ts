import { createLogUpdate } from 'log-update';
import { clip } from '../format.ts';
import type { SearchEvent } from '../search/run.ts';
import { type History, Standing } from '../search/standing.ts';
import { type Memory, memoryInUse } from './memory.ts';
import { note } from './output.ts';
import { inOneLine, onScreen, score } from './standing.ts';

/** Where a search's events go. */
export interface ProgressDisplay {
  readonly onEvent: (event: SearchEvent) => void;
  /** A line that stays. */
  readonly say: (text: string) => void;
  readonly end: () => void;
}

/** Time, in seconds that only go forward. */
export interface Clock {
  readonly now: () => number;
  /** Calls `work` again and again until the returned function is called. */
  readonly every: (seconds: number, work: () => void) => () => void;
}

const SYSTEM_CLOCK: Clock = {
  now: () => performance.now() / 1000,
  every(seconds, work) {
    const timer = setInterval(work, 1000 * seconds);
    timer.unref();
    return () => clearInterval(timer);
  },
};

export interface DisplayOptions {
  /** Where a run that goes on finds what it had before. */
  readonly history?: History;
  readonly stream?: NodeJS.WriteStream;
  readonly clock?: Clock;
  readonly memory?: () => Memory;
}

/** Where the standing of a run is drawn. */
interface Canvas {
  readonly draw: (standing: Standing, now: number) => void;
  /** Seconds from one drawing to the next, after so many of the session. */
  readonly pause: (sessionSeconds: number) => number;
  readonly say: (text: string) => void;
  readonly done: () => void;
  /** True where a drawing says all that single events would. */
  readonly live: boolean;
}

const TICK_SECONDS = 1;
/** Ticks that lie further apart than this say that the process did not run in between. */
const ASLEEP_SECONDS = 20;

/** Live on a terminal, a line now and then elsewhere. */
export function progressDisplay(options: DisplayOptions = {}): ProgressDisplay {
  const { stream = process.stderr, clock = SYSTEM_CLOCK, memory = memoryInUse } = options;
  // A terminal whose size is not known (containers, `script`) says 0; nothing can be redrawn there.
  const live = stream.isTTY && stream.columns !== 0 && stream.rows !== 0;
  const canvas = live ? liveCanvas(stream, memory) : plainCanvas(memory);
  return new Display(canvas, clock, options.history ?? null);
}

class Display implements ProgressDisplay {
  readonly #canvas: Canvas;
  readonly #clock: Clock;
  readonly #history: History;
  readonly #stopTicking: () => void;
  #standing: Standing | undefined;
  #started = 0;
  #drawn = 0;
  #ticked: number;
  /** True where something happened since it was drawn. */
  #stale = false;

  constructor(canvas: Canvas, clock: Clock, history: History) {
    this.#canvas = canvas;
    this.#clock = clock;
    this.#history = history;
    this.#ticked = clock.now();
    this.#stopTicking = clock.every(TICK_SECONDS, () => this.#look());
  }

  readonly onEvent = (event: SearchEvent): void => {
    this.#look();
    const now = this.#clock.now();
    if (event.type === 'started') {
      this.#standing = new Standing(event, now, this.#history);
      this.#started = now;
      this.#drawn = now;
    }
    this.#standing?.absorb(event, now);
    this.#stale = true;
    const line = lineOf(event, this.#canvas.live);
    if (line !== null) this.say(line);
  };

  readonly say = (text: string): void => {
    this.#canvas.say(text);
    if (this.#canvas.live) this.#draw();
  };

  readonly end = (): void => {
    this.#stopTicking();
    if (this.#stale) this.#draw();
    this.#canvas.done();
  };

  /** What is to be done now and then, whether or not anything happens. */
  #look(): void {
    const now = this.#clock.now();
    const gap = now - this.#ticked;
    if (gap > ASLEEP_SECONDS) this.#standing?.slept(gap);
    this.#ticked = now;
    if (now - this.#drawn >= this.#canvas.pause(now - this.#started)) this.#draw();
  }

  #draw(): void {
    if (!this.#standing) return;
    const now = this.#clock.now();
    this.#canvas.draw(this.#standing, now);
    this.#drawn = now;
    this.#stale = false;
  }
}

/** What is said of an event in a line of its own, if anything. */
function lineOf(event: SearchEvent, live: boolean): string | null {
  if (event.type === 'fault')
    return event.index === null ? event.message : `proposal ${event.index}: ${event.message}`;
  if (live) return null;
  if (event.type === 'started') return `run ${event.run.id}: ${event.workers} workers`;
  if (event.type === 'baseline') return `${event.name}: ${score(event.candidate.fitness)}`;
  return null;
}

const LIVE_FRAME_SECONDS = 0.1;

function liveCanvas(stream: NodeJS.WriteStream, memory: () => Memory): Canvas {
  const view = createLogUpdate(stream);
  return {
    live: true,
    pause: () => LIVE_FRAME_SECONDS,
    draw(standing, now) {
      const width = stream.columns ?? 80;
      const lines = onScreen(standing.at(now), memory());
      view(lines.map((line) => clip(line, width - 1)).join('\n'));
    },
    say(text) {
      view.clear();
      note(text);
    },
    done: () => view.done(),
  };
}

/** Every 10 s in the first minutes, every minute in the first hour, then every ten minutes. */
export const plainPause = (sessionSeconds: number): number =>
  sessionSeconds < 120 ? 10 : sessionSeconds < 3600 ? 60 : 600;

const plainCanvas = (memory: () => Memory): Canvas => ({
  live: false,
  pause: plainPause,
  draw: (standing, now) => note(inOneLine(standing.at(now), memory())),
  say: note,
  done: () => {},
});
