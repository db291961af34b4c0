import { describe, expect, test } from 'vitest';
import { checkClassName, defaultClassName } from '../../src/export/class-name.ts';
import { json } from '../../src/export/json.ts';
import { pytorch } from '../../src/export/pytorch.ts';
import { layerOf, parseGenome } from '../../src/graph/genome.ts';
import { structuralKey } from '../../src/graph/keys.ts';
import { parseLayer } from '../../src/graph/text.ts';
import { ZOO } from '../../src/graph/zoo.ts';
import { exportedOf } from './vectors.ts';

const layerNamed = (name: string) => ZOO.find((known) => known.name === name)!.layer;
const moduleOf = (formula: string) =>
  pytorch(exportedOf(parseLayer(formula), null), { className: 'Layer', layout: 'nchw' });

/** The lines between the parameters and the affine. */
const bodyOf = (formula: string): string => {
  const lines = moduleOf(formula)
    .split('\n')
    .map((line) => line.trim());
  const from = lines.findIndex((line) => line.startsWith('raise ValueError'));
  const to = lines.indexOf('if self.gamma is not None:');
  return lines
    .slice(from + 1, to)
    .filter((line) => !/^(zero|v0|v1) = /.test(line))
    .join('\n');
};

describe('the PyTorch module', () => {
  test('of EvoNorm-S0, whole', async () => {
    const scores = {
      protocol: '0123456789abcdef',
      mean: 0.80125,
      perAnchor: [
        { anchor: 'mini-wide', accuracy: 0.8 },
        { anchor: 'mini-deep', accuracy: 0.8025 },
      ],
      evaluations: 3,
    };
    const exported = { ...exportedOf(layerNamed('EvoNorm-S0'), 'EvoNorm-S0'), scores };
    const source = pytorch(exported, { className: defaultClassName(exported), layout: 'nchw' });
    await expect(source).toMatchFileSnapshot('golden/evonorm_s0.py');
  });

  test('of EvoNorm-B0 in NHWC, whole', async () => {
    const exported = exportedOf(layerNamed('EvoNorm-B0'), 'EvoNorm-B0');
    const source = pytorch(exported, { className: defaultClassName(exported), layout: 'nhwc' });
    await expect(source).toMatchFileSnapshot('golden/evonorm_b0_nhwc.py');
  });

  test('names what is used twice, and moments', () => {
    expect(bodyOf('tanh(x) * (tanh(x) - mean[wh](x))')).toMatchInlineSnapshot(`
      "t1 = torch.tanh(x)
      mean_wh = _mean(x, (2, 3))
      out = t1 * (t1 - mean_wh)"
    `);
  });

  test('guards denominators that may be small, and only these', () => {
    expect(bodyOf('x / v1 / max(x, rms[whc](x)) / (std[wh](x) + x)')).toMatchInlineSnapshot(`
      "mean_square_whc = _mean_square(x, (1, 2, 3))
      rms_whc = torch.sqrt(mean_square_whc + self.eps)
      variance_wh = _variance(x, (2, 3))
      std_wh = torch.sqrt(variance_wh + self.eps)
      t1 = x / _guard(v1, self.eps) / torch.maximum(x, rms_whc)
      out = t1 / _guard(std_wh + x, self.eps)"
    `);
  });

  test('keeps the order of evaluation', () => {
    expect(bodyOf('x - (v0 - x) - -(x * v1) + x * (v0 / v1)')).toMatchInlineSnapshot(
      `"out = x - (v0 - x) - (-(x * v1)) + x * (v0 / _guard(v1, self.eps))"`,
    );
  });

  test('is cut where a formula is too long for a docstring', () => {
    const deep = Array.from({ length: 12 }).reduce<string>((a) => `max(${a}, tanh(${a}))`, 'x');
    expect(moduleOf(deep)).toMatch(/its formula has \d+ characters and is left out/);
  });

  test('cannot be escaped from by text of a database', () => {
    const scores = { protocol: '"""\nimport os', mean: 0, perAnchor: [], evaluations: 1 };
    const exported = { ...exportedOf(layerNamed('DyT'), null), id: 'a\\', scores };
    const source = pytorch(exported, { className: 'Layer', layout: 'nchw' });
    expect(source).toContain("(protocol '''?import os, 1 evaluation)");
    expect(source).toContain('id: a/\n');
    expect(source.match(/"""/g)).toHaveLength(8);
  });
});

test('class names of layers are valid, and those of the zoo differ', () => {
  const names = ZOO.map(({ name }) => defaultClassName({ zooName: name, id: '' }));
  expect(new Set(names).size).toBe(ZOO.length);
  for (const name of [...names, defaultClassName({ zooName: null, id: '0123456789' })])
    expect(checkClassName(name)).toBe(name);
});

test('JSON reads back as the same layer', () => {
  const exported = exportedOf(layerNamed('EvoNorm-B1'), 'EvoNorm-B1');
  const read = JSON.parse(json(exported));
  expect(structuralKey(layerOf(parseGenome(read.genome)))).toBe(structuralKey(exported.layer));
  const { layer, zooName, ...rest } = exported;
  expect(read).toMatchObject({ ...rest, name: zooName, epsilon: 1e-5, version: 1 });
});
