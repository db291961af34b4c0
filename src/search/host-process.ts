import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { FromHost, HostSettings, Job, ToHost } from '../../workers/messages.ts';
import { packageRoot } from '../eval/package-root.ts';

/** How a host ended. */
export interface HostEnd {
  readonly signal: NodeJS.Signals | null;
  readonly code: number | null;
  /** What it said last on standard error, in one line; empty where it said nothing. */
  readonly lastWords: string;
}

/** Who wants to know what becomes of a host. */
export interface HostListener {
  readonly heard: (message: FromHost) => void;
  /** The last that is heard of it. */
  readonly ended: (end: HostEnd) => void;
}

/** What is kept of a host's standard error, in characters. */
const TAIL = 4000;

/** The compiled file of that name: Node cannot load the TypeScript source everywhere. */
export function compiledWorker(name: 'host' | 'evaluate'): string {
  const file = join(packageRoot(), 'dist', 'workers', `${name}.js`);
  if (!existsSync(file)) throw new Error(`internal: ${file} is missing; build the project first`);
  return file;
}

/** The coordinator's side of one host. */
export class HostProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #tail = '';

  constructor(settings: HostSettings, listener: HostListener, file = compiledWorker('host')) {
    this.#child = fork(file, [JSON.stringify(settings)], {
      execArgv: [],
      // Keeps what JSON would drop, such as NaN.
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#tail = (this.#tail + text).slice(-TAIL);
    });
    this.#child.on('message', listener.heard);
    this.#ended = this.#end().then(listener.ended);
  }

  run(id: number, job: Job): void {
    this.#send({ type: 'run', id, job });
  }

  /** Asks for the end of the thread that runs a job, which is then told. */
  cancel(id: number): void {
    this.#send({ type: 'cancel', id });
  }

  /** Ends it at once; resolves when it has ended. */
  kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    return this.#ended;
  }

  #send(message: ToHost): void {
    // What cannot be sent any more is lost with the host, whose end is told.
    this.#child.send(message, () => {});
  }

  /** The end of the process and of all that it has sent, which may come in either order. */
  async #end(): Promise<HostEnd> {
    const child = this.#child;
    const failure = new Promise<Error>((resolve) => child.on('error', resolve));
    const disconnected = new Promise((resolve) => child.on('disconnect', resolve));
    const closed = new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
      child.on('close', (code, signal) => resolve([code, signal])),
    );
    const end = await Promise.race([failure, Promise.all([closed, disconnected])]);
    if (end instanceof Error) return { signal: null, code: null, lastWords: end.message };
    const [[code, signal]] = end;
    return { signal, code, lastWords: lastWords(this.#tail) };
  }
}

/** The line that says what went wrong, without stacks and the decoration of Node's and V8's reports. */
const lastWords = (text: string): string =>
  text
    .split('\n')
    .filter((line) => /^[\p{L}]/u.test(line) && !/^Node\.js v|^file:/.test(line))
    .at(-1)
    ?.trim() ?? '';

/** In words that are the same every time. */
export const howItEnded = ({ signal, code, lastWords }: HostEnd): string => {
  if (signal) return `ended with ${signal}`;
  return code === null ? `could not be started (${lastWords})` : `ended with exit code ${code}`;
};
