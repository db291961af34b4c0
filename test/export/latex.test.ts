import fc from 'fast-check';
import katex from 'katex';
import { describe, expect, test } from 'vitest';
import { latex } from '../../src/export/latex.ts';
import { type Genome, layerOf, liveGraph } from '../../src/graph/genome.ts';
import type { LayerGraph } from '../../src/graph/graph.ts';
import { EPSILON, elementwise, isElementwise, isMoment } from '../../src/graph/ops.ts';
import { parseLayer } from '../../src/graph/text.ts';
import { ZOO } from '../../src/graph/zoo.ts';
import { genomes } from '../graph/arbitrary.ts';
import { valueOfY } from './typeset.ts';
import { exportedOf } from './vectors.ts';

const written = (formula: string) => latex(exportedOf(parseLayer(formula), null));
/** Without the comments in front. */
const formulaOf = (formula: string) =>
  written(formula)
    .split('\n')
    .filter((line) => !line.startsWith('%'))
    .join('\n')
    .trim();

/** Some function of a number that no other moment is. */
const momentOf = (name: string, axes: string, a: number): number =>
  Math.cos(a + 3 * 'mean rms std'.indexOf(name) + axes.length / 7 + axes.charCodeAt(0));

const FUNCTIONS: Readonly<Record<string, (a: number, b: number) => number>> = {
  ...{
    '\\max': Math.max,
    '\\tanh': Math.tanh,
    '\\ln': Math.log,
    '\\exp': Math.exp,
    sgn: Math.sign,
  },
  '\\sigma': (a) => 1 / (1 + Math.exp(-a)),
};

function called(name: string, [a, b]: readonly number[]): number {
  const moment = /^(mean|rms|std)_(.*)$/.exec(name);
  return moment ? momentOf(moment[1]!, moment[2]!, a!) : FUNCTIONS[name]!(a!, b!);
}

const AXES = { bwh: 'b,w,h', whc: 'w,h,c', wh: 'w,h', 'whc/g': 'w,h,c/g' };

/** The layer on numbers, by the op table. */
function computed(
  { nodes, outputs }: LayerGraph,
  { x, v_0, v_1 }: Record<'x' | 'v_0' | 'v_1', number>,
) {
  const leaves: Readonly<Record<string, number>> = { x, v0: v_0, v1: v_1, zero: 0 };
  const values: number[] = [];
  for (const node of nodes) {
    const [a, b] = node.args.map((id) => values[id]!);
    if (isMoment(node.op) && 'index' in node) values.push(momentOf(node.op, AXES[node.index], a!));
    else if (isElementwise(node.op)) values.push(elementwise[node.op].value(a!, b!));
    else values.push(leaves[node.op]!);
  }
  return values[outputs.out]!;
}

/** Throws where KaTeX finds anything to complain of; returns MathML. */
const render = (text: string) =>
  katex.renderToString(text, { strict: 'error', throwOnError: true, output: 'mathml' });

describe('the formula in LaTeX', () => {
  test('of EvoNorm-S0, whole', async () => {
    const { layer } = ZOO.find(({ name }) => name === 'EvoNorm-S0')!;
    await expect(latex(exportedOf(layer, 'EvoNorm-S0'))).toMatchFileSnapshot(
      'golden/evonorm_s0.tex',
    );
  });

  test.each(ZOO)('of $name is understood by KaTeX', ({ name, layer }) => {
    expect(render(latex(exportedOf(layer, name)))).toContain('γ');
  });

  test('of any layer is understood by KaTeX, and short', () => {
    fc.assert(
      fc.property(genomes({ maxNodes: 30 }), (genome) => {
        const layer = layerOf(genome);
        const text = latex(exportedOf(layer, null));
        render(text);
        const formula = text.split('\n').filter((line) => !line.startsWith('%'));
        for (const line of formula) expect(line.length).toBeLessThan(1500);
      }),
      { numRuns: 200 },
    );
  });

  test.each([
    ['x - (v0 - x)', 'x - (v_0 - x)'],
    ['x - -x * (v0 + 1)', 'x - (-x) \\cdot (v_0 + 1)'],
    ['x * -v1', 'x \\cdot (-v_1)'],
    ['square(x + 1) / x', '\\frac{(x + 1)^2}{x}'],
    ['square(x / v1)', '\\left(\\frac{x}{v_1}\\right)^2'],
    ['max(0, x / v1)', '\\max\\left(0, \\frac{x}{v_1}\\right)'],
    ['exp(-x)', 'e^{-x}'],
    ['square(exp(x))', '(e^{x})^2'],
    ['abs(x) * tanh(x)', '\\lvert x \\rvert \\cdot \\tanh(x)'],
    ['log(x)', '\\operatorname{sgn}(x) \\cdot \\ln(\\lvert x \\rvert + \\varepsilon)'],
    ['sqrt(x)', '\\operatorname{sgn}(x) \\cdot \\sqrt{\\lvert x \\rvert + \\varepsilon}'],
    ['x - mean[bwh](x)', 'x - \\mathrm{mean}_{b,w,h}(x)'],
    ['x / rms[whc/g](x)', '\\frac{x}{\\mathrm{rms}_{w,h,c/g}(x)}'],
  ])('%s is %s', (formula, expected) => {
    const [, inner] = /^y = \\gamma \\cdot (.*) \+ \\beta$/s.exec(formulaOf(formula))!;
    expect([expected, `(${expected})`, `\\left(${expected}\\right)`]).toContain(inner);
  });

  test('means what the layer computes', () => {
    const names = { x: 0.7, v_0: -0.3, v_1: 1.2, '\\varepsilon': EPSILON };
    const numbers = fc.record({
      x: fc.double({ min: -3, max: 3, noNaN: true }),
      v_0: fc.double({ min: -2, max: 2, noNaN: true }),
      v_1: fc.double({ min: -2, max: 2, noNaN: true }),
    });
    // x + (-x + x)
    const begun: Genome = {
      nodes: [
        { op: 'neg', args: [0] },
        { op: 'add', args: [4, 0] },
        { op: 'add', args: [0, 5] },
      ],
    };
    // Of these alone, parentheses are at stake in most graphs.
    const arithmetic = genomes({ maxNodes: 10, ops: ['add', 'neg', 'mul', 'square'] });
    fc.assert(
      fc.property(fc.oneof(genomes({ maxNodes: 14 }), arithmetic), numbers, (genome, drawn) => {
        // Not simplified, for that would leave less to put in parentheses.
        const layer = liveGraph(genome);
        const given = { ...names, ...drawn, '\\gamma': 1.5, '\\beta': -0.25 };
        const typeset = valueOfY(latex(exportedOf(layer, null)), {
          ...{ names: given, call: called },
          divide: elementwise.div.value,
        });
        const expected = 1.5 * computed(layer, drawn) - 0.25;
        if (!Number.isFinite(expected) || Math.abs(expected) > 1e100) return;
        expect(Math.abs(typeset - expected)).toBeLessThanOrEqual(1e-6 * (1 + Math.abs(expected)));
      }),
      { numRuns: 400, examples: [[begun, { x: 0.5, v_0: 0, v_1: 1 }]] },
    );
  });

  test('names what is long or used several times', () => {
    const formula = 'tanh(x * v1 + std[wh](x)) * sigmoid(tanh(x * v1 + std[wh](x)) / v1)';
    expect(formulaOf(formula)).toMatchInlineSnapshot(`
      "\\begin{aligned}
        t_{1} &= \\tanh(x \\cdot v_1 + \\mathrm{std}_{w,h}(x)) \\\\
        y &= \\gamma \\cdot t_{1} \\cdot \\sigma\\left(\\frac{t_{1}}{v_1}\\right) + \\beta
      \\end{aligned}"
    `);
  });

  test('grows no faster than the graph', () => {
    const doubled = Array.from({ length: 12 }).reduce<string>((a) => `max(${a}, tanh(${a}))`, 'x');
    expect(formulaOf(doubled).length).toBeLessThan(2000);
  });

  test('says what the formula leaves unsaid, of what it has', () => {
    expect(written('x * sigmoid(x)')).toMatch(/^% \\sigma is the sigmoid\.$/m);
    expect(written('x * sigmoid(x)')).not.toMatch(/std|denominator/i);
    expect(written('x / std[wh](x)')).toMatch(/^% std\(a\) = sqrt\(var\(a\) \+ \\varepsilon\)/m);
  });
});
