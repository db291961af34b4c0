import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import Database from 'better-sqlite3';
import { below, type RandomGenerator, randomStream } from '../../src/eval/random.ts';
import { PROGRAM } from '../cli/process.ts';

/** Who gets the SIGKILL. */
export type Victim = 'coordinator' | 'host' | 'group';

export interface KillPlan {
  /** Where everything is written. */
  readonly folder: string;
  /** Decides whom to kill, and after how many rows. */
  readonly seed: number;
  readonly kills: number;
  /** Rows of the finished run, those of the known layers included. */
  readonly rows: number;
  /** The arguments of `search`. */
  readonly search: readonly string[];
  readonly workers: number;
}

export interface KillReport {
  readonly db: string;
  readonly kills: Readonly<Record<Victim, number>>;
  readonly sessions: number;
  /** Rows in the database after each kill. */
  readonly rows: readonly number[];
}

/** One process of the program, with the rows that it says to have committed. */
interface Session {
  readonly process: ChildProcess;
  readonly ended: Promise<unknown>;
  readonly said: () => string;
  /** Resolves when it has committed `rows` more rows, or has ended. 0 rows: when the search has begun. */
  readonly committed: (rows: number) => Promise<void>;
}

/** All rows of the run in order, as text, with the evaluations; without times. */
export function contentOf(db: string): Record<string, string[]> {
  const database = new Database(db, { readonly: true });
  const dump = (query: string) =>
    database
      .prepare(query)
      .all()
      .map((row) => JSON.stringify(row));
  try {
    return {
      candidates: dump('SELECT * FROM candidates ORDER BY id'),
      evaluations: dump(
        `SELECT candidate, functional_key, repeat, position, anchor, accuracy, loss, steps,
           hex(curve)
         FROM evaluations ORDER BY candidate, position`,
      ),
      rejections: dump(
        `SELECT candidate, functional_key, repeat, outcome, numbers, lasting
         FROM rejections ORDER BY candidate`,
      ),
      audits: dump(
        'SELECT candidate, kind, functional_key, outcome, numbers FROM audits ORDER BY candidate',
      ),
    };
  } finally {
    database.close();
  }
}

/** A run that is killed again and again, and resumed each time. Throws where that loses or changes a row. */
export async function runKilled(plan: KillPlan): Promise<KillReport> {
  const random = randomStream('kills', plan.seed);
  const db = join(plan.folder, 'killed.db');
  const kills = { coordinator: 0, host: 0, group: 0 };
  const rows: number[] = [];
  let before: string[] = [];
  let sessions = 0;
  let session: Session | null = null;
  let last: Victim = 'coordinator';
  while (rows.length < plan.kills && before.length < plan.rows) {
    session ??= begin(plan, db, sessions++);
    await session.committed(below(paceOf(plan, before.length, rows.length), random));
    last = victimAfter(last, random);
    if (!(await kill(session, last))) throw new Error(`it ended by itself: ${session.said()}`);
    kills[last]++;
    if (last !== 'host') session = null;
    const after = contentOf(db).candidates as string[];
    checkGrowth(before, after);
    rows.push(after.length);
    before = after;
  }
  // The last session goes on to the end, if it was only its host that was killed.
  for (; before.length < plan.rows; before = contentOf(db).candidates as string[]) {
    session ??= begin(plan, db, sessions++);
    await session.ended;
    if (session.process.exitCode !== 0) throw new Error(`it failed: ${session.said()}`);
    session = null;
  }
  await session?.ended;
  return { db, kills, sessions, rows };
}

/** Twice the rows per kill at which the run would last until the last kill, and a little longer. */
const paceOf = (plan: KillPlan, rows: number, kills: number): number =>
  Math.max(1, Math.ceil((2 * (0.9 * plan.rows - rows)) / (plan.kills - kills)));

/** The host is not killed twice in a row: what is alone with it three times is, rightly, given up. */
function victimAfter(last: Victim, random: RandomGenerator): Victim {
  const draw = below(8, random);
  if (draw < 2 && last !== 'host') return 'host';
  return draw < 4 ? 'group' : 'coordinator';
}

/** What is in the database stays as it is. */
function checkGrowth(before: readonly string[], after: readonly string[]): void {
  before.forEach((row, i) => {
    if (after[i] !== row) throw new Error(`row ${i} was ${row} and is ${after[i]}`);
  });
}

function begin({ folder, search, workers }: KillPlan, db: string, number: number): Session {
  const pipe = join(folder, `log-${number}`);
  execFileSync('mkfifo', [pipe]);
  // With a writer of its own the pipe neither blocks nor ends.
  const log = new Socket({ fd: openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK) });
  const command = number === 0 ? search : ['resume', '1'];
  const options = ['--workers', workers, '--db', db, '--log', pipe, '--log-level', 'debug'];
  const process = spawnProgram([...command, ...options.map(String)]);
  return sessionOf(process, log);
}

/** In a process group of its own. */
const spawnProgram = (args: readonly string[]): ChildProcess =>
  spawn(process.execPath, [PROGRAM, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
    env: { ...process.env, EVOLAYER_DB: undefined },
  });

function sessionOf(process: ChildProcess, log: Socket): Session {
  let [said, begun, committed] = ['', false, 0];
  process.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const ended = once(process, 'close').finally(() => log.destroy());
  createInterface({ input: log }).on('line', (line) => {
    const { event, from, to } = JSON.parse(line) as { event: string; from: number; to: number };
    if (event === 'started') begun = true;
    if (event === 'committed') committed += to - from + 1;
    process.emit('logged');
  });
  const nextLine = () => Promise.race([once(process, 'logged'), ended]);
  return {
    ...{ process, ended, said: () => said },
    async committed(rows) {
      const goal = committed + rows;
      while ((!begun || committed < goal) && isAlive(process)) await nextLine();
    },
  };
}

const isAlive = ({ exitCode, signalCode }: ChildProcess) =>
  exitCode === null && signalCode === null;

/** Kills, and waits until that is done; false where the program ended before. */
async function kill({ process: child, ended }: Session, victim: Victim): Promise<boolean> {
  const pid = child.pid as number;
  if (!isAlive(child)) return false;
  if (victim === 'host') {
    for (const host of childrenOf(pid)) sigkill(host);
    return true;
  }
  sigkill(victim === 'group' ? -pid : pid);
  await ended;
  return child.signalCode === 'SIGKILL';
}

/** Whoever is gone already needs no signal. */
export function sigkill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

export const childrenOf = (pid: number): number[] =>
  execFileSync('ps', ['-A', '-o', 'ppid=,pid='], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([parent, child]) => (parent === pid && child !== undefined ? [child] : []));
