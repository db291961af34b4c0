import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Arena } from '../../../src/eval/native/arena.ts';
import { compileLayer, PlacedLayer } from '../../../src/eval/native/layer.ts';
import { printProgram } from '../../../src/eval/native/print.ts';
import { layerOf, liveGraph } from '../../../src/graph/genome.ts';
import { parseLayer } from '../../../src/graph/text.ts';
import { ZOO } from '../../../src/graph/zoo.ts';
import { genomes } from '../../graph/arbitrary.ts';
import { compareWithInterpreter } from './compare.ts';
import { simulated } from './simulator.ts';

// The layer compiler alone: its programs are read by the fp64 simulator, so the only differences left are those of algebra.
const TOLERANCES = { output: 1e-9, gradient: 1e-7 };

describe('compiled layers compute what the interpreter computes', () => {
  it.each(ZOO)('$name', ({ layer }) => {
    compareWithInterpreter(layer, simulated, TOLERANCES);
  });

  it('random graphs, live and simplified', () => {
    fc.assert(
      fc.property(genomes(), fc.boolean(), fc.nat(), (genome, simplified, seed) => {
        const layer = simplified ? layerOf(genome) : liveGraph(genome);
        compareWithInterpreter(layer, simulated, TOLERANCES, seed);
      }),
      { numRuns: 300 },
    );
  });
});

/** The forward and backward program of `formula` on 16 lanes and channels. */
function programs(formula: string) {
  const layer = parseLayer(formula);
  const shape = { batch: 4, height: 4, width: 4, channels: 16, groups: 2 };
  const names = (['v0', 'v1', 'gamma', 'beta'] as const).filter(
    (name) => name === 'gamma' || name === 'beta' || formula.includes(name),
  );
  const arena = new Arena();
  const tensor = () => ({ ...shape, halo: 0, offset: arena.allocate(4096) });
  const parameters = Object.fromEntries(
    names.map((name) => [name, { value: arena.allocate(16), gradient: arena.allocate(16) }]),
  );
  const place = {
    x: tensor(),
    y: tensor(),
    dy: tensor(),
    dx: { tensor: tensor(), accumulate: false },
    parameters,
  };
  const constants = new Map<number, number>();
  const constant = (value: number) => {
    const slot = constants.get(value) ?? arena.allocate(16);
    constants.set(value, slot);
    return slot;
  };
  const scratch = { slots: 1 << 20, registers: { offset: 0, floats: 0 }, constant };
  const placed = new PlacedLayer(compileLayer(layer, shape, 16, names), place, scratch, arena);
  const print = (words: number[]) => printProgram(Int32Array.from(words));
  return { forward: print(placed.forward()), backward: print(placed.backward()) };
}

describe('generated programs', () => {
  it('EvoNorm-S0 sweeps once each way, with two passes over each image', () => {
    const { forward, backward } = programs('x * sigmoid(v1*x) / std[whc/g](x)');
    expect(forward).toMatchInlineSnapshot();
    expect(backward).toMatchInlineSnapshot();
  });

  it('a moment over the batch costs a second sweep', () => {
    const { forward } = programs('x / max(std[bwh](x), v1*x + std[wh](x))');
    expect(forward).toMatchInlineSnapshot();
  });
});
