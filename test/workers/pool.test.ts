import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import type { Dataset } from '../../src/eval/data.ts';
import { type Pool, threadPool } from '../../src/search/pool.ts';
import type { Job } from '../../workers/messages.ts';
import { configOf } from '../search/fake.ts';

const filename = fileURLToPath(new URL('fixture.js', import.meta.url));
const { signal } = new AbortController();

const memory = () => new Float32Array(new SharedArrayBuffer(64));
const datasetIn = (images: Float32Array): Dataset => {
  const split = { images, labels: new Uint8Array(new SharedArrayBuffer(4)), count: 0 };
  return {
    ...{ name: 'fixture', hash: '0', pool: 1, classes: 2, mean: 0, std: 1 },
    image: { height: 1, width: 1, channels: 1 },
    train: split,
    validation: split,
  };
};

const job = (trick: string): Job => ({
  genome: { nodes: [{ op: 'neg', args: [0] }] },
  protocol: configOf().protocol,
  seed: trick,
});

const pools: Pool[] = [];
const poolOf = (workers: number, images = memory(), file = filename): Pool => {
  const pool = threadPool({ dataset: datasetIn(images), workers, filename: file });
  pools.push(pool);
  return pool;
};

afterEach(async () => {
  for (const pool of pools.splice(0)) await pool.close();
});

describe('a pool of threads', () => {
  test('gives a job to a worker as it is', async () => {
    const { outcome, seconds } = await poolOf(1).run(job('echo'), { signal });
    expect(outcome).toEqual({ outcome: 'crashed', message: JSON.stringify(job('echo')) });
    expect(seconds).toBe(1);
  });

  test('works on as many jobs at a time as it was asked to, over shared memory', async () => {
    const images = memory();
    const pool = poolOf(2, images);
    expect(pool.workers).toBe(2);
    // The first two wait for each other; the others find the gate open.
    await Promise.all(
      ['wait', 'wait', 'wait', 'wait', 'wait'].map((t) => pool.run(job(t), { signal })),
    );
    const [started, running, most] = new Int32Array(images.buffer);
    expect({ started, running, most }).toEqual({ started: 5, running: 0, most: 2 });
  });

  test('passes on a failure of one job, and works on', async () => {
    const pool = poolOf(1);
    await expect(pool.run(job('throw'), { signal })).rejects.toThrow('no luck');
    await expect(pool.run(job('exit'), { signal })).rejects.toThrow();
    await expect(pool.run(job('echo'), { signal })).resolves.toMatchObject({ seconds: 1 });
  });

  test('tells a refusal, which no other job would escape, from a failure', async () => {
    const refused = poolOf(1).run(job('refuse'), { signal });
    await expect(refused).rejects.toBeInstanceOf(UserError);
    await expect(refused).rejects.toThrow('The engine does not load.');
  });

  test('gives up jobs on a signal, also one that hangs', async () => {
    const pool = poolOf(1);
    const controller = new AbortController();
    const jobs = ['hang', 'echo'].map((t) => pool.run(job(t), { signal: controller.signal }));
    controller.abort();
    for (const one of jobs) await expect(one).rejects.toThrow(/abort/i);
    await expect(pool.run(job('echo'), { signal })).resolves.toMatchObject({ seconds: 1 });
  });

  test('whose threads cannot start refuses all jobs', async () => {
    const pool = poolOf(2, memory(), fileURLToPath(new URL('missing.js', import.meta.url)));
    for (const message of [/The worker threads do not start: /, /do not start/]) {
      const refused = Promise.all([1, 2, 3].map(() => pool.run(job('echo'), { signal })));
      await expect(refused).rejects.toBeInstanceOf(UserError);
      await expect(refused).rejects.toThrow(message);
    }
  });
});
