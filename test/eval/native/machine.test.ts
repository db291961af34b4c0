import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { UserError } from '../../../src/errors.ts';
import { ProgramWriter, type Tensor } from '../../../src/eval/native/encode.ts';
import { INSTRUCTIONS } from '../../../src/eval/native/isa.ts';
import {
  chooseVariant,
  lanesOf,
  Machine,
  type Variant,
  variants,
} from '../../../src/eval/native/machine.ts';
import { runs } from './runs.ts';
import { Scene } from './scene.ts';

afterEach(() => void vi.unstubAllEnvs());

const FLOATS = 1 << 16;

const open = (variant: Variant = chooseVariant(), images = 2) =>
  new Machine(variant, FLOATS, images);

const tensor = (offset: number, size: number, channels: number, halo = 0): Tensor => ({
  ...{ offset, height: size, width: size, channels, halo },
});

/** One of everything, small enough for the arena. */
function program(lanes: number): Int32Array {
  const w = new ProgramWriter();
  const [x, y] = [tensor(0, 6, 3, 1), tensor(2048, 6, 5, 1)];
  const [a, b] = [tensor(4096, 1, 8), tensor(4160, 1, 5)];
  w.instruction('conv', x, 6144, y, 3, 1, 1, y);
  w.instruction('convInputGradient', y, 6144, x, 3, 1, 0);
  w.instruction('convWeightGradient', x, y, 6144, 3, 1);
  w.instruction('pool', y, b);
  w.instruction('poolGradient', b, y, 1);
  w.instruction('dense', a, 6144, 6200, b);
  w.instruction('denseGradient', a, 6144, b, a, 1, 6144, 6200);
  w.instruction('loss', b, 8192, b, 8256);
  w.instruction('sgd', 6144, 6400, 6656, 100, 6912, 1);
  w.instruction('add', y, y, y);
  w.instruction('copy', y, y);
  w.instruction('zero', 0, 10);
  w.instruction('zeroHalo', y);
  writeSweep(w, y, lanes);
  return w.finish(0);
}

function writeSweep(w: ProgramWriter, t: Tensor, lanes: number): void {
  const slot = (at: number) => ({ kind: 'slot', at }) as const;
  const register = { kind: 'register', at: 0 } as const;
  const image = { kind: 'tensor', at: 0 } as const;
  const period = 5 * lanes;
  w.begin('sweep');
  for (const word of [6, 6, 5, period, 7, 1, 48, 12000, 1]) w.word(word);
  w.tensor(t);
  for (const word of [1, 1, 3, 2]) w.word(word);
  w.record('spread', slot(16000), [slot(7000)]);
  w.record('copy', register, [image]);
  w.record('tanh', image, [register]);
  w.record('stats', slot(16384), [register], 1);
  w.record('moment', slot(17408), [slot(16384)], 2, 1, 36, 1);
  w.record('gather', slot(7000), [slot(17408)]);
  w.end();
  w.begin('small');
  for (const word of [5, period, 1]) w.word(word);
  w.record('exp', slot(17408), [slot(17408)]);
  w.end();
}

describe('variants', () => {
  it('are those of this CPU, best first', () => {
    expect(variants()).toEqual(
      ['avx512', 'avx2', 'base'].filter((v) => variants().includes(v as Variant)),
    );
    expect(variants().at(-1)).toBe('base');
    for (const variant of variants())
      expect(lanesOf(variant)).toBe({ avx512: 16, avx2: 8, base: 4 }[variant]);
  });

  it('the environment forces one', () => {
    expect(chooseVariant()).toBe(variants()[0]);
    vi.stubEnv('EVOLAYER_NATIVE_VARIANT', 'base');
    expect(chooseVariant()).toBe('base');
  });

  it('an unknown one is the mistake of a user', () => {
    vi.stubEnv('EVOLAYER_NATIVE_VARIANT', 'sse9');
    expect(() => chooseVariant()).toThrow(UserError);
    expect(() => chooseVariant()).toThrow(/"sse9".*base/);
  });
});

describe('a machine', () => {
  it('has a zeroed arena, whose length is 0 when it is closed', () => {
    const machine = open();
    const arena = new Float32Array(machine.arena);
    expect(arena.length).toBe(FLOATS);
    expect(arena.every((value) => value === 0)).toBe(true);
    machine.close();
    machine.close();
    expect(machine.arena.byteLength).toBe(0);
    expect(() => machine.prepare(program(16))).toThrow('internal: ');
  });

  it('tells the collector of its memory', () => {
    const before = process.memoryUsage().external;
    const machine = new Machine('base', 1 << 24, 1);
    expect(process.memoryUsage().external - before).toBeGreaterThan(2 ** 25);
    machine.close();
    expect(process.memoryUsage().external - before).toBeLessThan(2 ** 25);
  });

  it('says what it cannot allocate', () => {
    expect(() => new Machine('base', 2 ** 31, 1)).toThrow(UserError);
  });

  it('runs at most the images that it was made for', () => {
    const machine = open(chooseVariant(), 2);
    const handle = machine.prepare(program(lanesOf(chooseVariant())));
    machine.run(handle, 2);
    for (const images of [0, -1, 3, Number.NaN])
      expect(() => machine.run(handle, images)).toThrow('internal: ');
    machine.close();
  });
});

describe.each(variants())('programs on %s kernels', (variant) => {
  const lanes = lanesOf(variant);

  it('are refused where they end early, or are no programs', () => {
    const machine = open(variant);
    const words = program(lanes);
    machine.prepare(words);
    const ends = new Set([0]);
    for (let at = 0; at < words.length; at += words[at + 1]!) ends.add(at + words[at + 1]!);
    for (let end = 0; end < words.length; end++) {
      const part = words.slice(0, end);
      if (ends.has(end)) machine.prepare(part);
      else expect(() => machine.prepare(part)).toThrow('internal: ');
    }
    expect(() => machine.prepare(Int32Array.of(INSTRUCTIONS.length, 2))).toThrow('internal: ');
    expect(() => machine.prepare(Int32Array.of(0, 0))).toThrow('internal: ');
    machine.close();
  });

  it('are refused, or run without harm, whatever word is wrong', () => {
    const words = program(lanes);
    const wrong = fc.oneof(
      fc.integer(),
      fc.integer({ min: -2, max: 40 }),
      fc.integer({ min: 0, max: FLOATS }),
      fc.constantFrom(2 ** 31 - 1, -(2 ** 31), FLOATS, FLOATS - 1024, 1 << 15, 1 << 30),
    );
    let ran = 0;
    const machine = open(variant);
    fc.assert(
      fc.property(fc.nat({ max: words.length - 1 }), wrong, (at, value) => {
        const mutant = Int32Array.from(words);
        mutant[at] = value;
        const outcome = attempt(() => machine.run(machine.prepare(mutant), 2));
        if (outcome === undefined) ran++;
        else expect(outcome).toMatch(/^internal: /);
      }),
      { numRuns: runs(3000) },
    );
    expect(ran).toBeGreaterThan(10);
    machine.close();
  });

  it('give the same bits wherever their buffers stand', () => {
    const results = [0, 16, 48].map((shift) => {
      const scene = new Scene(2);
      scene.block(shift);
      const [x, y] = [scene.tensor(7, 9, 5, 1), scene.tensor(7, 9, 12, 1)];
      const weights = scene.block(9 * 5 * 12);
      const contents = scene.contents(1);
      for (const at of [x.offset, y.offset]) contents.fill(0, at, at + 1);
      const source = new Scene(2);
      const same = source.tensor(7, 9, 5, 1);
      source.block(9 * 5 * 12);
      const values = source.contents(2);
      contents.set(values.subarray(same.offset, same.offset + 2 * 9 * 11 * 5), x.offset);
      contents.set(values.subarray(values.length - 9 * 5 * 12), weights);
      const after = scene.run(variant, contents, (w) =>
        w.instruction('conv', x, weights, y, 3, 1, 0, y),
      );
      return [...after.subarray(y.offset, y.offset + 2 * 9 * 11 * 12)];
    });
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });
});

/** The message of what `f` throws. */
function attempt(f: () => void): string | undefined {
  try {
    f();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

describe('threads', () => {
  it('several at once have machines of their own, which their end frees', async () => {
    const url = new URL('./machine-worker.js', import.meta.url);
    const runs = [0, 1, 2].map(
      () =>
        new Promise<string>((resolve, reject) => {
          const worker = new Worker(url);
          let digest = '';
          worker.on('message', (message: string) => {
            digest = message;
          });
          worker.on('error', reject);
          worker.on('exit', (code) =>
            code === 0 ? resolve(digest) : reject(new Error(`exit code ${code}`)),
          );
        }),
    );
    const digests = await Promise.all(runs);
    expect(digests[0]).toMatch(/^[0-9a-f]{64}$/);
    expect(new Set(digests).size).toBe(1);
  });
});
