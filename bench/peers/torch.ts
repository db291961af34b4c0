import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { packageRoot } from '../../src/eval/package-root.ts';
import { pythonWith } from './python.ts';

/** The requests of torch_peer.py, and its answers. */
export interface Requests {
  hello: [Record<string, never>, { torch: string; python: string }];
  open: [object, { ms: number }];
  batch: [{ id: string; images: string; labels: number[] }, Record<string, never>];
  steps: [{ id: string; count: number; rate: number }, { ms: number; losses: (number | null)[] }];
  evaluate: [
    { id: string; images: string; labels: number[]; part: number },
    { ms: number; correct: number },
  ];
  slope: [{ id: string; images: string; labels: number[] }, { norm: number; ascent: string }];
  close: [{ id: string }, Record<string, never>];
}

/** Floats as they travel. */
export const encoded = (values: Float32Array): string =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64');

/** A Python process with PyTorch, in one thread, that compiles into an empty cache of its own. */
export class TorchPeer {
  readonly #process: ChildProcess;
  readonly #lines: Interface;
  readonly #answers: AsyncIterableIterator<string>;
  #version = '';

  /** Starts the process, or says why it cannot. */
  static async start(): Promise<TorchPeer | { readonly missing: string }> {
    const python = pythonWith('torch', 'numpy');
    if ('missing' in python) return python;
    const peer = new TorchPeer(python.path);
    try {
      const { torch, python } = await peer.ask('hello', {});
      peer.#version = `PyTorch ${torch}, Python ${python}`;
      return peer;
    } catch (error) {
      await peer.close();
      return { missing: `PyTorch does not start: ${(error as Error).message}` };
    }
  }

  private constructor(python: string) {
    this.#process = spawn(python, [join(packageRoot(), 'bench', 'peers', 'torch_peer.py')], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: {
        ...process.env,
        OMP_NUM_THREADS: '1',
        TORCHINDUCTOR_COMPILE_THREADS: '1',
      },
    });
    this.#lines = createInterface({ input: this.#process.stdout! });
    this.#answers = this.#lines[Symbol.asyncIterator]();
    // A process that ends early shows in the answer that does not come.
    this.#process.on('error', () => this.#lines.close());
    this.#process.stdin!.on('error', () => this.#lines.close());
  }

  get version(): string {
    return this.#version;
  }

  /** One request at a time. Throws where Python answers with an error, or not at all. */
  async ask<Name extends keyof Requests>(
    name: Name,
    request: Requests[Name][0],
  ): Promise<Requests[Name][1]> {
    this.#process.stdin!.write(`${JSON.stringify({ do: name, ...request })}\n`);
    const { value, done } = await this.#answers.next();
    if (done) throw new Error(`Python ended when asked to ${name}`);
    const answer = JSON.parse(value) as Requests[Name][1] | { error: string };
    if ('error' in answer) throw new Error(answer.error);
    return answer;
  }

  /** Waits until Python has cleaned up behind itself. */
  async close(): Promise<void> {
    this.#lines.close();
    const { exitCode, signalCode, pid } = this.#process;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.stdin!.end();
    await ended;
  }
}
