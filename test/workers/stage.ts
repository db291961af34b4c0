import { execFileSync } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { closeSync, constants, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Job } from '../../workers/messages.ts';
import { temporaryFolder } from '../cli/process.ts';
import { configOf } from '../search/fake.ts';

/** A job that has started and waits for what the test makes it do. */
export interface Actor {
  readonly name: string;
  /** Of its host. */
  readonly pid: number;
  readonly thread: number;
  readonly command: (text: string) => void;
  /** Resolves when its thread or its host is gone, or when it has finished. */
  readonly gone: Promise<void>;
}

/** Where the jobs of fixture.js play: the test is told that one has started, and tells it what to do. */
export class Stage {
  readonly #path: string;
  readonly #folder = temporaryFolder();
  readonly #entered: Actor[] = [];
  readonly #events = new EventEmitter();
  /** Names of the jobs that are on stage. */
  readonly present = new Set<string>();
  #pipes = 0;

  constructor() {
    this.#path = join(this.#folder, 'stage');
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      void this.#enter(socket);
    }).listen(this.#path);
    onTestFinished(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
  }

  job(name: string, timeout = 600): Job {
    return {
      genome: { nodes: [{ op: 'neg', args: [0] }] },
      protocol: { ...configOf().protocol, timeout },
      seed: `${this.#path}|${name}`,
    };
  }

  /** The next `names.length` jobs that start, in the order of `names`, which must be theirs. */
  async entered(...names: string[]): Promise<Actor[]> {
    while (this.#entered.length < names.length) await once(this.#events, 'entered');
    const actors = this.#entered.splice(0, names.length);
    const found = names.map((name) => actors.find((actor) => actor.name === name));
    if (found.some((actor) => !actor))
      throw new Error(`${names} were to start, and ${actors.map(({ name }) => name)} did`);
    return found as Actor[];
  }

  async next(name: string): Promise<Actor> {
    return (await this.entered(name))[0] as Actor;
  }

  /** Makes a thread wait in native code until the test ends; resolves when it does. */
  async block(actor: Actor): Promise<void> {
    const [told, never] = ['told', 'never'].map((name) =>
      join(this.#folder, `${name}-${this.#pipes}`),
    ) as [string, string];
    this.#pipes++;
    execFileSync('mkfifo', [told, never]);
    actor.command(`block ${told} ${never}`);
    await readFile(told);
    onTestFinished(() => release(never));
  }

  async #enter(socket: Socket): Promise<void> {
    socket.on('error', () => {});
    const gone = new Promise<void>((resolve) => socket.on('close', () => resolve()));
    const [line] = (await once(socket.setEncoding('utf8'), 'data')) as [string];
    const { name, pid, thread } = JSON.parse(line) as Pick<Actor, 'name' | 'pid' | 'thread'>;
    this.present.add(name);
    void gone.then(() => this.present.delete(name));
    this.#entered.push({
      ...{ name, pid, thread, gone },
      command: (text) => void socket.write(`${text}\n`),
    });
    this.#events.emit('entered');
  }
}

/** Lets go who opened a pipe for reading, if somebody did: where the host was killed, its child is left. */
function release(pipe: string): void {
  try {
    closeSync(openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENXIO') throw error;
  }
}
