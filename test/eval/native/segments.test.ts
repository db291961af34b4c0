import { describe, expect, it } from 'vitest';
import { ANCHORS } from '../../../src/eval/anchors.ts';
import { compile } from '../../../src/eval/native/compile.ts';
import { segments } from '../../../src/eval/native/segments.ts';
import { parseLayer } from '../../../src/graph/text.ts';

const setup = { batch: 128, groups: 32, movingDecay: 0.9, momentum: 0.9, weightDecay: 1e-4 };

function programOf(anchor: string): Int32Array {
  const image = { height: 32, width: 32, channels: 3 };
  const network = ANCHORS.get(anchor)!.network(image, 10);
  return compile(network, parseLayer('max(x, 0)'), setup, 16).programs.gradient;
}

describe('segments', () => {
  const program = programOf('resnet50-quarter');

  it('put together are the program', () => {
    const words = segments(program, setup.batch).flatMap((piece) => [...piece]);
    expect(Int32Array.from(words)).toEqual(program);
  });

  it('cut a large network often and a small one never', () => {
    expect(segments(program, setup.batch).length).toBeGreaterThan(30);
    expect(segments(programOf('mini-deep'), 1)).toHaveLength(1);
  });

  it('are single instructions where nothing else is short enough', () => {
    const pieces = segments(program, setup.batch, 1);
    const costly = pieces.filter((piece) => piece.length > piece[1]!);
    // Only instructions that cost nothing share a piece with another.
    expect(pieces.length).toBeGreaterThan(costly.length);
    for (const piece of pieces) expect(piece[1]!).toBeLessThanOrEqual(piece.length);
  });
});
