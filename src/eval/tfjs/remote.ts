import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  Worker,
} from 'node:worker_threads';
import { packageRoot } from '../package-root.ts';
import { type Backend, BackendObstacle, prepareEnvironment } from './backends.ts';
import type { Answer, Calls, Greeting, KeeperData } from './calls.ts';

/** The compiled file: Node cannot load the TypeScript source everywhere. */
function entryFile(): string {
  const file = join(packageRoot(), 'dist', 'src', 'eval', 'tfjs', 'keeper.js');
  if (!existsSync(file)) throw new Error(`internal: ${file} is missing; build the project first`);
  return file;
}

export type ThreadOptions = Partial<Pick<KeeperData, 'onDevice' | 'heapMegabytes'>>;

/** A thread in which TensorFlow.js computes with one backend; calls wait for their answers. It keeps no process alive. */
export class TfjsThread {
  readonly numerics: string;
  readonly #keeper: Worker;
  /** Answers come here, and there that the thread has ended. */
  readonly #answers: MessagePort;
  readonly #end: MessagePort;
  readonly #flag: Int32Array;
  #ended: Error | undefined;

  /** Throws a BackendObstacle where the backend cannot be used. */
  constructor(backend: Backend, { onDevice, heapMegabytes }: ThreadOptions = {}) {
    prepareEnvironment(process.env);
    const signal = new SharedArrayBuffer(4);
    const [answers, end] = [new MessageChannel(), new MessageChannel()];
    this.#flag = new Int32Array(signal);
    [this.#answers, this.#end] = [answers.port1, end.port1];
    const [port, keeper] = [answers.port2, end.port2];
    const workerData: KeeperData = { backend, port, keeper, signal, onDevice, heapMegabytes };
    const transferList = [port, keeper];
    this.#keeper = new Worker(entryFile(), { workerData, transferList, execArgv: [] });
    for (const one of [this.#keeper, this.#answers, this.#end]) one.unref();
    this.numerics = this.#greeted(backend);
  }

  #greeted(backend: Backend): string {
    const greeting = this.#await() as Greeting;
    if ('numerics' in greeting) return greeting.numerics;
    this.close();
    if ('obstacle' in greeting) throw new BackendObstacle(backend, greeting.obstacle);
    throw new Error(`internal: ${greeting.failure}`);
  }

  /** True once a call has found the thread ended; every further one fails as that did. */
  get hasEnded(): boolean {
    return this.#ended !== undefined;
  }

  call<Name extends keyof Calls>(
    name: Name,
    ...args: Parameters<Calls[Name]>
  ): ReturnType<Calls[Name]> {
    if (this.#ended) throw this.#ended;
    this.#answers.postMessage([name, ...args]);
    const answer = this.#await() as Answer;
    if ('error' in answer) throw new Error(`TensorFlow.js: ${answer.error}`);
    return answer.value as ReturnType<Calls[Name]>;
  }

  /** Ends the thread. */
  close(): void {
    void this.#keeper.terminate();
    this.#answers.close();
    this.#end.close();
  }

  /** Messages are sent before the flag is set, so that none is missed. */
  #await(): Greeting | Answer {
    for (;;) {
      const answer = receiveMessageOnPort(this.#answers);
      if (answer) return answer.message;
      const end = receiveMessageOnPort(this.#end);
      if (end) this.#fail(end.message);
      Atomics.wait(this.#flag, 0, 0);
      Atomics.store(this.#flag, 0, 0);
    }
  }

  #fail(reason: string): never {
    this.#ended = new Error(`The thread of TensorFlow.js has ended: ${reason}`);
    this.close();
    throw this.#ended;
  }
}
