import { closeSync, openSync, writeSync } from 'node:fs';
import { type Logger, pino } from 'pino';
import type { Settled } from '../../db/store.ts';
import { UserError } from '../errors.ts';
import { packageVersion } from '../eval/package-root.ts';
import { layerOf } from '../graph/genome.ts';
import { formatLayer } from '../graph/text.ts';
import { candidateId } from '../search/ids.ts';
import type { Best } from '../search/progress.ts';
import type { RunSummary, SearchEvent } from '../search/run.ts';
import { explainedFile } from './files.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What a log can hold: one JSON object per line, with `level`, `time`, `event` and `run` in each. */
export const LOG_EVENTS = {
  started: {
    level: 'info',
    doc: 'a session begins: `workers`, `proposals` and `seconds` so far, `config`, `protocol`, `versions`',
  },
  baseline: {
    level: 'info',
    doc: 'a known layer was scored: `name`, `outcome`, `fitness` (null where it was rejected)',
  },
  best: {
    level: 'info',
    doc: 'a proposal is better than all before: `id`, `formula`, `fitness`, `before` (null for the first)',
  },
  committed: {
    level: 'debug',
    doc: 'proposals are in the database: `from` and `to` (indices), `inFlight`, and the totals `proposals`, `trained`, `cacheHits`, `outcomes`',
  },
  candidate: {
    level: 'trace',
    doc: 'one of them: `index`, `origin`, `outcome`, `tier`, `fitness`, `seconds`',
  },
  fault: {
    level: 'warn',
    doc: 'something went wrong and is no reason to end the run: `index` (null where it concerns no candidate), `kind`, `message`',
  },
  stopped: {
    level: 'info',
    doc: 'the session ended: `stopped` (finished or interrupted), `condition` (the one that was met, or null), `reason` (the same in words), `proposals`, `trained`, `best`, `seconds`',
  },
  diagnosis: {
    level: 'error',
    doc: 'the session failed: `message`, and `stack` where it is a bug of evolayer',
  },
} as const satisfies Record<string, { readonly level: LogLevel; readonly doc: string }>;
export type LogEventName = keyof typeof LOG_EVENTS;

export interface LogOptions {
  readonly file: string;
  readonly level: LogLevel;
  /** Told once, when the log can no longer be written. */
  readonly say: (text: string) => void;
  /** As `fs.writeSync`. */
  readonly write?: (file: number, text: string) => number;
}

/** A log of one session; it appends to the file. Throws a UserError where that cannot be opened. */
export const openLog = (options: LogOptions): EventLog => new EventLog(options);

export class EventLog {
  readonly #logger: Logger;
  readonly #file: number;
  #run: number | null = null;
  #best: Best | null = null;

  constructor({ file, level, say, write = writeSync }: LogOptions) {
    this.#file = openAppending(file);
    const output = carefulWriter(this.#file, write, (error) =>
      say(`The log ${file} cannot be written: ${error.message}. The run goes on.`),
    );
    const formatters = { level: (label: string) => ({ level: label }) };
    this.#logger = pino(
      { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters },
      output,
    );
  }

  readonly onEvent = (event: SearchEvent): void => {
    if (event.type === 'started') this.#started(event);
    else if (event.type === 'baseline') {
      const { outcome, fitness } = event.candidate;
      this.#log('baseline', { name: event.name, outcome: outcome.outcome, fitness });
    } else if (event.type === 'fault')
      this.#log('fault', { index: event.index, kind: event.kind, message: event.message });
    else this.#committed(event);
  };

  stopped({ stopped, condition, detail, counts, best, seconds }: RunSummary): void {
    const { proposals, evaluated } = counts;
    const found = best && this.#layer(best);
    this.#log('stopped', {
      ...{ stopped, condition, reason: detail },
      ...{ proposals, trained: evaluated, best: found, seconds },
    });
  }

  failed(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    const isBug = error instanceof Error && !(error instanceof UserError);
    this.#log('diagnosis', { message, ...(isBug && { stack: error.stack }) });
  }

  close(): void {
    closeSync(this.#file);
  }

  #log(event: LogEventName, fields: object): void {
    this.#logger[LOG_EVENTS[event].level]({ event, run: this.#run, ...fields });
  }

  #started({ run, workers, progress }: Extract<SearchEvent, { type: 'started' }>): void {
    this.#run = run.id;
    this.#best = progress.best;
    this.#log('started', {
      ...{ workers, proposals: progress.counts.proposals, seconds: progress.seconds },
      ...{ config: run.config, protocol: run.protocolKey },
      versions: {
        ...{ evolayer: packageVersion(), node: process.versions.node },
        platform: `${process.platform}-${process.arch}`,
      },
    });
  }

  #committed({ candidates, progress }: Extract<SearchEvent, { type: 'committed' }>): void {
    if (this.#logger.isLevelEnabled('trace'))
      for (const candidate of candidates) this.#log('candidate', plain(candidate));
    const { proposals, evaluated: trained, cacheHits, outcomes } = progress.counts;
    const [from, to] = [candidates[0]?.index, candidates.at(-1)?.index];
    const { inFlight, best } = progress;
    if (this.#logger.isLevelEnabled('debug'))
      this.#log('committed', { from, to, inFlight, proposals, trained, cacheHits, outcomes });
    if (best && best.index !== this.#best?.index) {
      this.#log('best', { ...this.#layer(best), before: this.#best?.fitness ?? null });
      this.#best = best;
    }
  }

  #layer({ index, genome, fitness }: Best) {
    const id = candidateId({ run: this.#run ?? 0, index });
    return { id, formula: formatLayer(layerOf(genome)), fitness };
  }
}

/** Throws a UserError where no log can be written, before anything else takes its time. */
export const checkLog = (file: string): void => closeSync(openAppending(file));

function openAppending(file: string): number {
  try {
    return openSync(file, 'a');
  } catch (error) {
    throw explainedFile(error, `The log ${file} cannot be written`);
  }
}

const plain = ({ index, origin, outcome, tier, fitness, evaluation }: Settled) => ({
  ...{ index, origin, outcome, tier, fitness, seconds: evaluation?.seconds ?? 0 },
});

/**
 * Writes each line at once or not at all, keeps nothing, and tries again with the next one: a disk that is
 * full may have space later. Where a line was torn, the next one begins on a line of its own.
 */
function carefulWriter(
  file: number,
  write: (file: number, text: string) => number,
  complain: (error: Error) => void,
): { write: (line: string) => void } {
  let torn = false;
  let complained = false;
  return {
    write(line) {
      const text = torn ? `\n${line}` : line;
      try {
        torn = write(file, text) < Buffer.byteLength(text);
      } catch (error) {
        if (!(error instanceof Error && 'code' in error)) throw error;
        if (!complained) complain(error);
        complained = true;
      }
    },
  };
}
