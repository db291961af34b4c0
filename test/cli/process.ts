import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished, vi } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { packageRoot } from '../../src/eval/package-root.ts';

/** The real program, compiled. */
export const PROGRAM = join(packageRoot(), 'dist/bin/evolayer.js');

export interface Ended {
  /** The exit code, or the signal that ended it. */
  readonly code: number | NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves when standard error has `text`; rejects where the program ends before. */
  readonly says: (text: string) => Promise<void>;
}

interface Options {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly program?: string;
}

export function start(args: readonly string[], options: Options = {}): Started {
  const { cwd = tmpdir(), env = {}, program = PROGRAM } = options;
  if (!existsSync(program)) throw new Error(`${program} is missing; run: npm run build`);
  const child = spawn(process.execPath, [program, ...args], {
    cwd,
    env: { ...process.env, EVOLAYER_DB: undefined, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
      child.emit('said');
    });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code: code ?? signal, ...output }));
  });
  const says = (text: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => output.stderr.includes(text) && resolve();
      child.on('said', look);
      child.on('close', () => reject(new Error(`never said ${text}: ${output.stderr}`)));
      look();
    });
  return { process: child, ended, says };
}

/** Runs the program to its end. */
export const evolayer = (args: readonly string[], options?: Options): Promise<Ended> =>
  start(args, options).ended;

/** A folder that is gone after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'evolayer-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Settings under which a candidate is trained in milliseconds. */
export const TINY = [
  ...['--anchor', 'mini-wide', '--pool', '7', '--batch', '4', '--steps', '2', '--pad', '0'],
  ...['--validation', '20', '--quality-steps', '1', '--quality-images', '10'],
  ...['--min-accuracy', '0'],
];

/** The same without a process of its own, which costs half a second; for what ends before any work. */
export async function inProcess(args: readonly string[]): Promise<Ended> {
  const output = { stdout: '', stderr: '' };
  const capture = (name: 'stdout' | 'stderr') =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      output[name] += text;
      return true;
    });
  const spies = [capture('stdout'), capture('stderr')];
  try {
    return { code: await run(args), ...output };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}
