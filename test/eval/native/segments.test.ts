import { describe, expect, it } from 'vitest';
import { ANCHORS } from '../../../src/eval/anchors.ts';
import { compile } from '../../../src/eval/native/compile.ts';
import { ProgramWriter } from '../../../src/eval/native/encode.ts';
import { lanesOf, Machine, variants } from '../../../src/eval/native/machine.ts';
import { costOf, type Segment, segments } from '../../../src/eval/native/segments.ts';
import { fillNormal, randomStream } from '../../../src/eval/random.ts';
import { parseLayer } from '../../../src/graph/text.ts';
import { runs } from './runs.ts';

const setup = { batch: 128, groups: 32, movingDecay: 0.9, momentum: 0.9, weightDecay: 1e-4 };

function planOf(anchor: string, { batch = setup.batch, size = 32, lanes = 16 } = {}) {
  const image = { height: size, width: size, channels: 3 };
  const network = ANCHORS.get(anchor)!.network(image, 10);
  const layer = parseLayer('max((x - mean[bwh](x)) / std[whc/g](x), 0)');
  return compile(network, layer, { ...setup, batch }, lanes);
}

/** All anchors, or the small ones where each run takes long. */
const shared = [...ANCHORS.keys()].filter((name) => name.startsWith('mini-') || runs(100) === 100);

/** Nanoseconds of one call, by the estimate. */
function callOf({ program, shares }: Segment, images: number): number {
  let cost = 0;
  for (let at = 0; at < program.length; at += program[at + 1]!)
    cost += costOf(program.subarray(at, at + program[at + 1]!), images);
  return cost / shares;
}

describe('segments', () => {
  const program = planOf('resnet50-quarter').programs.gradient;

  it('put together are the program', () => {
    const words = segments(program, setup.batch).flatMap((piece) => [...piece.program]);
    expect(Int32Array.from(words)).toEqual(program);
    expect(segments(new Int32Array(), 1)).toEqual([]);
  });

  it('cut a large network often and a small one never', () => {
    expect(segments(program, setup.batch).length).toBeGreaterThan(30);
    expect(segments(planOf('mini-deep').programs.gradient, 1)).toHaveLength(1);
  });

  it('in several shares are single instructions', () => {
    const shared = segments(program, setup.batch).filter(({ shares }) => shares > 1);
    expect(shared.length).toBeGreaterThan(100);
    for (const piece of shared) expect(piece.program).toHaveLength(piece.program[1]!);
  });

  it.each([...ANCHORS.keys()])('of %s at batch 128 take 20 ms a call at most', (anchor) => {
    const { gradient, update, inference } = planOf(anchor).programs;
    for (const program of [gradient, update, inference])
      for (const piece of segments(program, setup.batch))
        expect(callOf(piece, setup.batch)).toBeLessThanOrEqual(20e6);
  });

  it.each(shared)('of %s give the same bits in any number of shares', (anchor) => {
    const batch = 5;
    for (const variant of variants()) {
      const plan = planOf(anchor, { batch, size: 8, lanes: lanesOf(variant) });
      const run = (pieces: Segment[], images: number) => {
        const machine = new Machine(variant, plan.floats, batch);
        const arena = new Float32Array(machine.arena);
        fillNormal(arena.subarray(plan.images), 0.1, randomStream('shares', 1));
        new Int32Array(machine.arena, plan.labels * 4, batch).fill(3);
        for (const { program, shares } of pieces) {
          const handle = machine.prepare(program);
          for (let i = 0; i < shares; i++) machine.run(handle, images, i, shares);
        }
        expect(new Float64Array(machine.arena, plan.result * 4, 1)[0]).toBeGreaterThan(0);
        const after = Buffer.from(machine.arena.slice(0));
        machine.close();
        return after;
      };
      const { gradient, inference } = plan.programs;
      for (const [program, images] of [
        [gradient, batch],
        [inference, 3],
      ] as const) {
        const whole = run([{ program, shares: 1 }], images);
        for (const nanoseconds of [1, 2e4])
          expect(run(segments(program, batch, nanoseconds), images).equals(whole)).toBe(true);
      }
    }
  });
});

it('a machine refuses shares of several instructions, and shares that are none', () => {
  const machine = new Machine('base', 4096, 1);
  const writer = new ProgramWriter();
  writer.instruction('zero', 0, 10);
  const one = machine.prepare(writer.finish(0));
  writer.instruction('zero', 16, 10);
  const two = machine.prepare(writer.finish(0));
  machine.run(one, 1, 1, 2);
  expect(() => machine.run(two, 1, 0, 2)).toThrow('internal: a share of several instructions');
  for (const [share, shares] of [
    [2, 2],
    [-1, 2],
    [0, 0],
  ] as const)
    expect(() => machine.run(one, 1, share, shares)).toThrow('internal: run(');
  machine.close();
});
