import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { ANCHORS } from '../../../src/eval/anchors.ts';
import { engineWith } from '../../../src/eval/engines.ts';
import { compile } from '../../../src/eval/native/compile.ts';
import { nativeEngine, nativeNumerics } from '../../../src/eval/native/engine.ts';
import { variants } from '../../../src/eval/native/machine.ts';
import { ZOO } from '../../../src/graph/zoo.ts';

const SETUP = { batch: 32, groups: 8, movingDecay: 0.9, momentum: 0.9, weightDecay: 1e-4 };

/** Of what the compiler makes of the zoo in the minis, for vectors of so many lanes. */
function digestOf(lanes: number): string {
  const hash = createHash('sha256');
  const minis = [...ANCHORS].filter(([name]) => name.startsWith('mini-'));
  for (const [, { network }] of minis)
    for (const { layer } of ZOO) {
      const plan = compile(
        network({ height: 14, width: 14, channels: 1 }, 10),
        layer,
        SETUP,
        lanes,
      );
      for (const program of Object.values(plan.programs)) hash.update(program);
      hash.update(JSON.stringify([plan.constants, plan.moving]));
    }
  return hash.digest('hex').slice(0, 16);
}

describe('the revision of the arithmetic', () => {
  /**
   * Where these change, programs do: unless all results keep their bits, raise REVISION in
   * src/eval/native/engine.ts. What changes in the kernels themselves is not seen here.
   */
  test('goes with these programs', () => {
    expect([16, 8, 4].map(digestOf)).toMatchInlineSnapshot(`
      [
        "5174540200170417",
        "424a8467b0de7bfb",
        "424a8467b0de7bfb",
      ]
    `);
  });

  test('is part of the numerics, and scores of another one are refused', () => {
    const [variant] = variants();
    const { numerics } = nativeEngine(variant);
    expect(numerics).toBe(nativeNumerics(variant!));
    expect(engineWith(numerics).numerics).toBe(numerics);
    for (const other of [`native/${variant}`, `native/${variant}/1`])
      expect(() => engineWith(other)).toThrow(`The arithmetic ${other} cannot be had`);
  });
});
