import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { type HostPoolOptions, hostPool, type Pool } from '../../src/search/pool.ts';
import type { PoolFault } from '../../src/search/suspects.ts';
import type { Job, JobResult } from '../../workers/messages.ts';
import { start } from '../cli/process.ts';
import { type Actor, Stage } from './stage.ts';

const fileHere = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const { signal } = new AbortController();

function poolOf(workers: number, options: Partial<HostPoolOptions> = {}): Pool {
  const dataset = { name: 'fashion-mnist', pool: 14 };
  const pool = hostPool({ dataset, workers, filename: fileHere('fixture.js'), ...options });
  onTestFinished(() => pool.close());
  return pool;
}

/** A job under way, with what the pool says of it. */
interface Play {
  readonly faults: PoolFault[];
  /** Resolves with the first fault. */
  readonly faulted: Promise<void>;
  readonly result: Promise<JobResult>;
}

function play(pool: Pool, job: Job): Play {
  const faults: PoolFault[] = [];
  let tell = () => {};
  const faulted = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const onFault = (fault: PoolFault) => {
    faults.push(fault);
    tell();
  };
  return { faults, faulted, result: pool.run(job, { signal, onFault }) };
}

/** A pool with jobs that have all started, in this order. */
async function stageWith(workers: number, names: string[], options?: Partial<HostPoolOptions>) {
  const stage = new Stage();
  const pool = poolOf(workers, options);
  const plays = names.map((name) => play(pool, stage.job(name)));
  const actors = await stage.entered(...names.slice(0, workers));
  return { stage, pool, plays, actors };
}

const finished = (name: string) => ({
  outcome: { outcome: 'diverged', anchor: expect.stringMatching(`\\|${name}$`) },
});

const crashed = (message: string) => ({ outcome: { outcome: 'crashed', message }, seconds: 0 });

const kill = ({ pid }: Actor) => process.kill(pid, 'SIGKILL');

describe('a pool', () => {
  test('gives a job to a thread of another process as it is, and what comes back', async () => {
    const stage = new Stage();
    const { result } = play(poolOf(1), stage.job('a'));
    const actor = await stage.next('a');
    expect(actor.pid).not.toBe(process.pid);
    actor.command('finish');
    // NaN survives the way.
    expect(await result).toEqual({
      outcome: { outcome: 'diverged', anchor: stage.job('a').seed, step: 0 },
      seconds: Number.NaN,
    });
  });

  test('works on as many jobs at a time as it was asked to, first come first served', async () => {
    const { stage, pool, plays, actors } = await stageWith(2, ['a', 'b', 'c', 'd']);
    expect(pool.workers).toBe(2);
    expect(new Set(actors.map(({ thread }) => thread)).size).toBe(2);
    let [a, b] = actors as [Actor, Actor];
    for (const name of ['c', 'd']) {
      a.command('finish');
      await a.gone;
      [a, b] = [b, await stage.next(name)];
      expect(stage.present.size).toBe(2);
    }
    for (const actor of [a, b]) actor.command('finish');
    for (const [i, name] of ['a', 'b', 'c', 'd'].entries())
      expect(await plays[i]!.result).toMatchObject(finished(name));
    expect(plays.flatMap(({ faults }) => faults)).toEqual([]);
  });

  test('gives up jobs on a signal, waiting ones and running ones, and works on', async () => {
    const stage = new Stage();
    const pool = poolOf(1);
    const controller = new AbortController();
    const jobs = ['a', 'b'].map((name) =>
      pool.run(stage.job(name), { signal: controller.signal, onFault: () => expect.unreachable() }),
    );
    const a = await stage.next('a');
    a.command('spin');
    controller.abort();
    for (const one of jobs) await expect(one).rejects.toThrow(/abort/i);
    await expect(pool.run(stage.job('x'), { signal: controller.signal })).rejects.toThrow(/abort/i);
    const { result } = play(pool, stage.job('c'));
    const c = await stage.next('c');
    expect(c.pid).toBe(a.pid);
    c.command('finish');
    expect(await result).toMatchObject(finished('c'));
  });

  test('tells a refusal, which no other job would escape, from a failure', async () => {
    const { plays, actors } = await stageWith(1, ['a']);
    actors[0]!.command('refuse');
    await expect(plays[0]!.result).rejects.toBeInstanceOf(UserError);
    await expect(plays[0]!.result).rejects.toThrow('The engine does not load.');
  });

  test('that is closed fails its jobs', async () => {
    const { pool, plays, actors } = await stageWith(1, ['a', 'b']);
    const failures = plays.map(({ result }) => expect(result).rejects.toThrow('was closed'));
    await pool.close();
    await Promise.all([...failures, actors[0]!.gone]);
    await pool.close();
  });
});

describe('a thread that fails', () => {
  const FAILURES = [
    ['throw', 'thread', 'no luck'],
    ['exit', 'thread', 'the thread ended itself with exit code 3'],
    ['heap', 'out-of-memory', 'the thread needed more than 64 MB of heap'],
    ['shortage', 'out-of-memory', 'A network of 9 MB cannot be set up: not enough memory.'],
  ] as const;

  test.each(FAILURES)('once (%s) costs nobody anything', async (command, kind, message) => {
    const { stage, plays, actors } = await stageWith(2, ['a', 'b'], { heapMegabytes: 64 });
    const [a, b] = actors as [Actor, Actor];
    a.command(command);
    await plays[0]!.faulted;
    b.command('finish');
    expect(await plays[1]!.result).toMatchObject(finished('b'));
    const again = await stage.next('a');
    expect(again.pid).toBe(a.pid);
    again.command('finish');
    expect(await plays[0]!.result).toMatchObject(finished('a'));
    expect(plays.map(({ faults }) => faults)).toEqual([[{ kind, message }], []]);
  });

  test.each(FAILURES)('twice (%s) is the candidate’s doing', async (command, kind, message) => {
    const { stage, plays, actors } = await stageWith(1, ['a'], { heapMegabytes: 64 });
    actors[0]!.command(command);
    (await stage.next('a')).command(command);
    expect(await plays[0]!.result).toEqual(crashed(message));
    expect(plays[0]!.faults).toEqual([1, 2].map(() => ({ kind, message })));
  });

  test('for want of memory is tried with nothing beside it', async () => {
    const { stage, plays, actors } = await stageWith(2, ['a', 'b', 'c']);
    const [a, b] = actors as [Actor, Actor];
    a.command('shortage');
    await plays[0]!.faulted;
    b.command('finish');
    const again = await stage.next('a');
    expect([...stage.present]).toEqual(['a']);
    again.command('finish');
    (await stage.next('c')).command('finish');
    expect(await Promise.all(plays.map(({ result }) => result))).toMatchObject(
      ['a', 'b', 'c'].map(finished),
    );
  });
});

describe('a host that crashes', () => {
  test.each([
    ['segfault', 'SIGSEGV', ''],
    ['abort', 'SIGABRT', " (terminate called after throwing an instance of 'std::bad_alloc')"],
  ])('(%s) is replaced, and the guilty job found among its jobs', async (command, name, words) => {
    const { stage, plays, actors } = await stageWith(3, ['a', 'b', 'c', 'd']);
    actors[1]!.command(command);
    // Its jobs run one at a time, before all others.
    const a = await stage.next('a');
    expect([...stage.present]).toEqual(['a']);
    a.command('finish');
    const b = await stage.next('b');
    expect([...stage.present]).toEqual(['b']);
    b.command(command);
    const c = await stage.next('c');
    expect([...stage.present]).toEqual(['c']);
    c.command('finish');
    (await stage.next('d')).command('finish');
    expect(new Set([actors[0]!, a, c].map(({ pid }) => pid)).size).toBe(3);

    const message = `the worker process ended with ${name}`;
    const fault = { kind: 'host', message: message + words };
    for (const [i, other] of ['a', 'b', 'c', 'd'].entries())
      expect(await plays[i]!.result).toMatchObject(i === 1 ? crashed(message) : finished(other));
    const faults = plays.map((one) => one.faults);
    expect(faults).toEqual([[fault], [fault, fault], [fault], []]);
  });
});

describe('a host that is killed', () => {
  test('once costs its jobs nothing but time', async () => {
    const { stage, plays, actors } = await stageWith(2, ['a', 'b']);
    kill(actors[0]!);
    for (const name of ['a', 'b']) (await stage.next(name)).command('finish');
    for (const [i, name] of ['a', 'b'].entries()) {
      expect(await plays[i]!.result).toMatchObject(finished(name));
      expect(plays[i]!.faults).toEqual([
        { kind: 'killed', message: 'the worker process was killed' },
      ]);
    }
  });

  test('three times while a job had it for itself is the job’s doing', async () => {
    const { stage, plays, actors } = await stageWith(2, ['a', 'b']);
    kill(actors[0]!);
    for (let i = 0; i < 3; i++) kill(await stage.next('a'));
    (await stage.next('b')).command('finish');
    expect(await plays[0]!.result).toEqual(crashed('the worker process was killed'));
    expect(plays[0]!.faults).toHaveLength(4);
    expect(await plays[1]!.result).toMatchObject(finished('b'));
  });
});

describe('a thread that hangs', () => {
  const LIMIT = 0.5;
  const message = `no answer within ${LIMIT} s`;
  const late = { kind: 'hung', message };

  test('in JavaScript is ended and tried once more; the others notice nothing', async () => {
    const stage = new Stage();
    const pool = poolOf(2, { grace: 0 });
    const [a, b] = [play(pool, stage.job('a', LIMIT)), play(pool, stage.job('b'))];
    const [first, other] = (await stage.entered('a', 'b')) as [Actor, Actor];
    first.command('spin');
    const second = await stage.next('a');
    expect(second.pid).toBe(first.pid);
    second.command('spin');
    expect(await a.result).toEqual(crashed(message));
    expect(a.faults).toEqual([late, late]);
    other.command('finish');
    expect(await b.result).toMatchObject(finished('b'));
    expect(b.faults).toEqual([]);
  });

  test('once costs its candidate nothing', async () => {
    const stage = new Stage();
    const { result, faults } = play(poolOf(1, { grace: 0 }), stage.job('a', LIMIT));
    (await stage.next('a')).command('spin');
    (await stage.next('a')).command('finish');
    expect(await result).toMatchObject(finished('a'));
    expect(faults).toEqual([late]);
  });

  test('in native code takes its host along; the others are tried again without blame', async () => {
    const { stage, pool, plays, actors } = await stageWith(2, ['b'], { patience: 0.1 });
    const controller = new AbortController();
    const hung = pool.run(stage.job('a'), { signal: controller.signal });
    const a = await stage.next('a');
    await stage.block(a);
    controller.abort();
    await expect(hung).rejects.toThrow(/abort/i);
    const again = await stage.next('b');
    expect(again.pid).not.toBe(actors[0]!.pid);
    again.command('finish');
    expect(await plays[0]!.result).toMatchObject(finished('b'));
    expect(plays[0]!.faults).toEqual([]);
  });

  test('in native code, again and again, is the candidate’s doing', async () => {
    const stage = new Stage();
    const pool = poolOf(1, { grace: 0, patience: 0.1 });
    const { result, faults } = play(pool, stage.job('a', LIMIT));
    for (let i = 0; i < 2; i++) await stage.block(await stage.next('a'));
    expect(await result).toEqual(crashed(message));
    expect(faults).toEqual([late, late]);
  });
});

describe('a host that cannot start', () => {
  const FAILURES: readonly [string, Partial<HostPoolOptions>, RegExp][] = [
    [
      'because its threads do not',
      { filename: fileHere('missing.js') },
      /^The worker threads do not start: .*missing\.js/,
    ],
    [
      'because the data set is unknown',
      { dataset: { name: 'imagenet', pool: 1 } },
      /^There is no data set "imagenet"/,
    ],
    [
      'because it crashes',
      { filename: fileHere('crash-at-start.js') },
      /^The worker process does not start: it ended with SIGSEGV 3 times in a row\.$/,
    ],
    [
      'because it says nothing',
      { filename: fileHere('silent.js'), startLimit: 0.2 },
      /^The worker process does not start: it ended with SIGKILL 3 times in a row\.$/,
    ],
  ];

  test.each(FAILURES)('%s, ends all work with a sentence', async (_, options, message) => {
    const pool = poolOf(2, options);
    const stage = new Stage();
    for (let round = 0; round < 2; round++) {
      const refused = Promise.all(
        ['a', 'b', 'c'].map((name) => pool.run(stage.job(name), { signal })),
      );
      await expect(refused).rejects.toBeInstanceOf(UserError);
      await expect(refused).rejects.toThrow(message);
    }
  });
});

test('a host ends with its coordinator, also where a thread hangs in native code', async () => {
  const stage = new Stage();
  const args = [fileHere('fixture.js'), JSON.stringify(stage.job('a'))];
  const coordinator = start(args, { program: fileHere('coordinator.js') });
  const a = await stage.next('a');
  expect(a.pid).not.toBe(coordinator.process.pid);
  await stage.block(a);
  coordinator.process.kill('SIGKILL');
  await a.gone;
});
