import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Arena } from '../../../src/eval/native/arena.ts';
import { ProgramWriter } from '../../../src/eval/native/encode.ts';
import { compileLayer, graphsOf, PlacedLayer } from '../../../src/eval/native/layer.ts';
import { printProgram } from '../../../src/eval/native/print.ts';
import { layerOf, liveGraph } from '../../../src/graph/genome.ts';
import { parseLayer } from '../../../src/graph/text.ts';
import { ZOO } from '../../../src/graph/zoo.ts';
import { genomes } from '../../graph/arbitrary.ts';
import { compareWithInterpreter } from './compare.ts';
import { runs } from './runs.ts';
import { simulated } from './simulator.ts';

// The layer compiler alone: its programs are read by the fp64 simulator, so the only differences left are those of algebra.
const TOLERANCES = { output: 1e-9, gradient: 1e-7 };

describe('compiled layers compute what the interpreter computes', () => {
  it.each(ZOO)('$name', ({ layer }) => {
    compareWithInterpreter(layer, simulated, TOLERANCES);
  });

  it.each([
    'max(v1 * x + v0, 0)',
    'max(0, x + mean[wh](x))',
    'max(x - mean[whc](x), 0) * tanh(x)',
    'square(max(v0 + x / std[bwh](x), 0))',
    'max(abs(x) - mean[bwh](x), 0) / std[whc/g](x)',
  ])('%s, of rectified sums', (formula) => {
    compareWithInterpreter(parseLayer(formula), simulated, TOLERANCES);
  });

  it('random graphs, live and simplified', () => {
    fc.assert(
      fc.property(genomes(), fc.boolean(), fc.nat(), (genome, simplified, seed) => {
        const layer = simplified ? layerOf(genome) : liveGraph(genome);
        compareWithInterpreter(layer, simulated, TOLERANCES, seed);
      }),
      { numRuns: runs(300) },
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
  const scratch = { slots: 1 << 20, registers: { floats: 0 }, constant };
  const placed = new PlacedLayer(
    compileLayer(graphsOf(layer), shape, 16, names),
    place,
    scratch,
    arena,
  );
  const print = (write: (out: ProgramWriter) => void) => {
    const out = new ProgramWriter();
    write(out);
    return printProgram(out.finish(0));
  };
  return {
    forward: print((out) => placed.forward(out)),
    backward: print((out) => placed.backward(out)),
  };
}

describe('generated programs', () => {
  it('BN-ReLU takes its sums of one gated gradient, and its last sweep is three records', () => {
    const { backward } = programs('max(v1 * (x - mean[bwh](x)) / std[bwh](x) + v0, 0)');
    const [, sums, last] = backward.split('sweep');
    expect(sums).toMatch(/gate t1 r1 \w+\n +s\w+ = dot r0 (t2|r1)\n +s\w+ = sum (t2|r1)\n/);
    expect(backward).not.toContain('max');
    expect(last!.split('small')[0]!.match(/= /g)).toHaveLength(3);
  });

  it('EvoNorm-S0 sweeps once each way, with two passes over each image', () => {
    const { forward, backward } = programs('x * sigmoid(v1*x) / std[whc/g](x)');
    expect(forward).toMatchInlineSnapshot(`
      "small
        s0 = spread s1
        s2 = spread s3
        s4 = spread s5
      sweep
        pass 0 tile
          s6 = stats t0
        pass 0 end
          n7 = moment s6
          n8 = moment s6
        pass 1 image
          n9 = rootEps n7
          n10 = reciprocal n9
          n11 = mul n10 s2
        pass 1 tile
          r0 = mul t0 s0
          t4 = sigmoid r0
          t3 = mul t0 t4
          t2 = fma t3 n11 s4"
    `);
    expect(backward).toMatchInlineSnapshot(`
      "sweep
        pass 0 image
          n0 = mul n1 n2
          n3 = mul s4 n2
        pass 0 tile
          s5 = sum t1
          s6 = dot t3 t1
          r0 = mul t0 t1
          r0 = mul t4 r0
          r0 = complement r0 t4
          s7 = dot t0 r0
        pass 0 end
          n8 = fold s6
          n9 = fold s7
        pass 1 image
          n10 = mul n1 n8
          s11 = sum n10
          n12 = mul n8 n0
          s13 = sum n12
          n14 = fold s13
          n15 = mul n14 s16
          n17 = mul n1 n15
          n18 = mul n2 n9
          s19 = sum n18
        pass 1 tile
          r1 = sub t0 n20
          r2 = mul t4 t1
          r2 = mul n2 r2
          r2 = fnma n17 r1 r2
          t2 = fma r0 n3 r2
      small
        s21 = fold s5
        s22 = fold s11
        s23 = fold s19
      small
        s24 = gather s23
        s25 = gather s22
        s26 = gather s21"
    `);
  });

  it('sigmoid and tanh are computed once, and what comes before the last sums is not computed again', () => {
    const { forward, backward } = programs(
      'tanh(sigmoid(max(v1 * x, v0)) / std[wh](x)) / std[bwh](x) / std[whc](x)',
    );
    for (const code of ['sigmoid', 'tanh']) expect(forward.split(`= ${code} `)).toHaveLength(2);
    expect(backward).not.toMatch(/= (sigmoid|tanh) /);
    const lastSweep = backward.slice(backward.lastIndexOf('sweep'));
    expect(lastSweep).not.toMatch(/step/);
  });

  it('a moment over the batch costs a second sweep', () => {
    const { forward } = programs('x / max(std[bwh](x), v1*x + std[wh](x))');
    expect(forward).toMatchInlineSnapshot(`
      "small
        s0 = spread s1
        s2 = spread s3
        s4 = spread s5
      sweep
        pass 0 tile
          s6 = stats t0
          s7 = stats t0
        pass 0 end
          n8 = moment s7
          n9 = moment s7
        pass 1 image
          n10 = rootEps n8
      small
        s11 = moment s6
        s12 = rootEps s11
        s13 = moment s6
      sweep
        pass 0 tile
          r0 = fma t0 s0 n10
          r0 = max s12 r0
          t3 = div t0 r0
          t2 = fma t3 s2 s4"
    `);
  });
});
