import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { genomeOf, layerOf, liveGraph, MAX_NODES } from '../../src/graph/genome.ts';
import { simplify } from '../../src/graph/simplify.ts';
import { FormulaError, formatLayer, parseLayer } from '../../src/graph/text.ts';
import { genomes } from './arbitrary.ts';

describe('print and parse', () => {
  test('a printed layer reads back as the same graph, before and after simplification', () => {
    fc.assert(
      fc.property(genomes({ maxNodes: 20 }), (genome) => {
        const text = formatLayer(liveGraph(genome));
        // The printer keeps the order of arguments; the order of nodes is that of reading.
        expect(formatLayer(parseLayer(text))).toBe(text);
        expect(simplify(parseLayer(text))).toEqual(layerOf(genome));
        const layer = layerOf(genome);
        expect(parseLayer(formatLayer(layer)).nodes.length).toBe(layer.nodes.length);
        expect(simplify(parseLayer(formatLayer(layer)))).toEqual(layer);
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ['x*sigmoid( v1*x )/std[whc/g](x)', 'x * sigmoid(v1 * x) / std[whc/g](x)'],
    ['x - mean[ whc / g ](x)', 'x - mean[whc/g](x)'],
    ['add(x, neg(v0))', 'x - v0'],
    ['neg(neg(x)) + -x', '--x - x'],
    ['-x * v1', '-x * v1'],
    ['-(x * v1) - -x', '-(x * v1) - -x'],
    ['x - (v0 - v1)', 'x - (v0 - v1)'],
    ['x - v0 - v1', 'x - v0 - v1'],
    ['x / (v0 / v1) / (v0 * v1)', 'x / (v0 / v1) / (v0 * v1)'],
    ['x * (v0 + 1) * -v1', 'x * (v0 + 1) * -v1'],
    ['exp(0) + exp(x)', '1 + exp(x)'],
    ['div(mul(x, v1), max(x, 0))\n', 'x * v1 / max(x, 0)'],
    ['((x))', 'x'],
  ])('%j prints as %j', (typed, printed) => {
    expect(formatLayer(parseLayer(typed))).toBe(printed);
    expect(parseLayer(printed)).toEqual(parseLayer(typed));
  });

  test('depths and lengths that genomes reach are read, in reasonable time', () => {
    const chain = 'tanh('.repeat(900) + 'x'.concat(')'.repeat(900));
    expect(formatLayer(parseLayer(chain))).toBe(chain);
    const sum = `x${' + x'.repeat(900)}`;
    expect(formatLayer(parseLayer(sum))).toBe(sum);
  });
});

describe('a malformed formula gets a caret under the place', () => {
  const complaint = (text: string): string => {
    try {
      return formatLayer(parseLayer(text));
    } catch (error) {
      expect(error).toBeInstanceOf(FormulaError);
      expect((error as FormulaError).exitCode).toBe(2);
      return `\n${(error as FormulaError).message}\n`;
    }
  };

  test('numbers', () => {
    expect(complaint('x * 0.5')).toMatchInlineSnapshot(`
      "
      the number 0.5 cannot stand in a layer, only 0 and 1 can
        x * 0.5
            ^
      "
    `);
    expect(complaint('2 * x')).toMatchInlineSnapshot(`
      "
      the number 2 cannot stand in a layer, only 0 and 1 can
        2 * x
        ^
      "
    `);
    expect(complaint('x + .1')).toMatchInlineSnapshot(`
      "
      the number .1 cannot stand in a layer, only 0 and 1 can
        x + .1
            ^
      "
    `);
    expect(complaint('x / 1e-5')).toMatchInlineSnapshot(`
      "
      the number 1e-5 cannot stand in a layer, only 0 and 1 can
        x / 1e-5
            ^
      "
    `);
  });

  test('names and ops', () => {
    expect(complaint('x * sigmod(x)')).toMatchInlineSnapshot(`
      "
      unknown op "sigmod"; the ops are add, mul, div, max, neg, sigmoid, tanh, exp, log, abs, square, sqrt, mean, rms, std
        x * sigmod(x)
            ^
      "
    `);
    expect(complaint('x + v2')).toMatchInlineSnapshot(`
      "
      unknown name "v2"; the names are x, v0, v1
        x + v2
            ^
      "
    `);
    expect(complaint('x * constructor(x)')).toMatchInlineSnapshot(`
      "
      unknown op "constructor"; the ops are add, mul, div, max, neg, sigmoid, tanh, exp, log, abs, square, sqrt, mean, rms, std
        x * constructor(x)
            ^
      "
    `);
    expect(complaint('sign(x)')).toMatchInlineSnapshot(`
      "
      unknown op "sign"; the ops are add, mul, div, max, neg, sigmoid, tanh, exp, log, abs, square, sqrt, mean, rms, std
        sign(x)
        ^
      "
    `);
    expect(complaint('__proto__')).toMatchInlineSnapshot(`
      "
      unknown name "__proto__"; the names are x, v0, v1
        __proto__
        ^
      "
    `);
    expect(complaint('tanh x')).toMatchInlineSnapshot(`
      "
      expected "(" after tanh, found "x"
        tanh x
             ^
      "
    `);
    expect(complaint('x(v0)')).toMatchInlineSnapshot(`
      "
      expected an operator or the end, found "("
        x(v0)
         ^
      "
    `);
  });

  test('index sets', () => {
    expect(complaint('x / std[hwc](x)')).toMatchInlineSnapshot(`
      "
      unknown index set "hwc"; it is one of [bwh], [whc], [wh], [whc/g]
        x / std[hwc](x)
                ^
      "
    `);
    expect(complaint('x / std(x)')).toMatchInlineSnapshot(`
      "
      std needs an index set, one of [bwh], [whc], [wh], [whc/g]
        x / std(x)
               ^
      "
    `);
    expect(complaint('x / std[bwh(x)')).toMatchInlineSnapshot(`
      "
      missing "]" for this "["
        x / std[bwh(x)
               ^
      "
    `);
    expect(complaint('std[](x)')).toMatchInlineSnapshot(`
      "
      unknown index set ""; it is one of [bwh], [whc], [wh], [whc/g]
        std[](x)
            ^
      "
    `);
    expect(complaint('tanh[bwh](x)')).toMatchInlineSnapshot(`
      "
      tanh takes no index set
        tanh[bwh](x)
            ^
      "
    `);
  });

  test('parentheses and arguments', () => {
    expect(complaint('x * (v1 + x')).toMatchInlineSnapshot(`
      "
      missing ")" for this "("
        x * (v1 + x
            ^
      "
    `);
    expect(complaint('max(x, tanh(x)')).toMatchInlineSnapshot(`
      "
      missing ")" for this "("
        max(x, tanh(x)
           ^
      "
    `);
    expect(complaint('max(x)')).toMatchInlineSnapshot(`
      "
      max takes 2 arguments, not 1
        max(x)
        ^
      "
    `);
    expect(complaint('x + tanh(x, v1)')).toMatchInlineSnapshot(`
      "
      tanh takes 1 argument, not 2
        x + tanh(x, v1)
            ^
      "
    `);
    expect(complaint('tanh()')).toMatchInlineSnapshot(`
      "
      tanh takes 1 argument, not 0
        tanh()
        ^
      "
    `);
    expect(complaint('max(x, )')).toMatchInlineSnapshot(`
      "
      expected x, v0, v1, 0, 1, an op or "(", found ")"
        max(x, )
               ^
      "
    `);
    expect(complaint('(x, v0)')).toMatchInlineSnapshot(`
      "
      expected ")", found ","
        (x, v0)
          ^
      "
    `);
  });

  test('text that is missing or left over', () => {
    expect(complaint('')).toMatchInlineSnapshot(`
      "
      the formula is empty; the shortest is x
        
        ^
      "
    `);
    expect(complaint(' \t ')).toMatchInlineSnapshot(`
      "
      the formula is empty; the shortest is x
           
           ^
      "
    `);
    expect(complaint('x +')).toMatchInlineSnapshot(`
      "
      expected x, v0, v1, 0, 1, an op or "(", found the end
        x +
           ^
      "
    `);
    expect(complaint('x) + v0')).toMatchInlineSnapshot(`
      "
      expected an operator or the end, found ")"
        x) + v0
         ^
      "
    `);
    expect(complaint('x v0')).toMatchInlineSnapshot(`
      "
      expected an operator or the end, found "v0"
        x v0
          ^
      "
    `);
    expect(complaint('x ** 2')).toMatchInlineSnapshot(`
      "
      expected x, v0, v1, 0, 1, an op or "(", found "*"
        x ** 2
           ^
      "
    `);
    expect(complaint('x ^ v0')).toMatchInlineSnapshot(`
      "
      expected an operator or the end, found "^"
        x ^ v0
          ^
      "
    `);
    expect(complaint('x × v0')).toMatchInlineSnapshot(`
      "
      expected an operator or the end, found "×"
        x × v0
          ^
      "
    `);
    expect(complaint('x 😀 v0')).toMatchInlineSnapshot(`
      "
      expected an operator or the end, found "😀"
        x 😀 v0
          ^
      "
    `);
  });

  test('a long formula is shown around the place, on one line', () => {
    expect(complaint(`${'x + '.repeat(50)}\n y${' + x'.repeat(50)}`)).toMatchInlineSnapshot(`
      "
      unknown name "y"; the names are x, v0, v1
        …+ x + x + x + x + x + x + x + x + x + x + x + x + x + x +   y + x + x + x + x + x + x + x + x + x + x + x + x + x + x + …
                                                                     ^
      "
    `);
  });

  test('text of any kind is read or complained about, never worse', () => {
    const pieces = ['x', 'v0', '1', '0', '(', ')', '[', ']', 'bwh', 'whc/g', 'std', 'max', 'tanh'];
    const soup = fc.array(fc.constantFrom(...pieces, '-', '+', '*', '/', ',', ' ', '\u0000', '.5'));
    fc.assert(
      fc.property(
        fc.oneof(
          soup.map((list) => list.join('')),
          fc.string(),
        ),
        (text) => {
          try {
            parseLayer(text);
          } catch (error) {
            expect(error).toBeInstanceOf(FormulaError);
            const lines = (error as FormulaError).message.split('\n');
            expect(lines).toHaveLength(3);
            expect(lines[2]).toMatch(/^ {2}.*\^$/);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('sizes without sense are refused in one sentence', () => {
  test('in', () => {
    expect(() => parseLayer('('.repeat(5000))).toThrow('nested deeper than 1000 levels');
    expect(() => parseLayer('-'.repeat(5000))).toThrow('nested deeper than 1000 levels');
    expect(() => parseLayer('x'.repeat(200_000))).toThrow(UserError);
    // The bits of each number spell a chain of its own.
    const chain = (i: number): string =>
      i === 0 ? 'x' : `${i % 2 === 0 ? 'tanh' : 'abs'}(${chain(i >> 1)})`;
    const text = Array.from({ length: MAX_NODES }, (_, i) => chain(i)).join(' + ');
    expect(() => parseLayer(text)).toThrow(/at most 1000 nodes/);
  });

  test('out', () => {
    const doubling = Array.from({ length: 40 }, (_, k) => ({
      op: 'add' as const,
      args: k === 0 ? [0, 2] : [3 + k, 3 + k],
    }));
    expect(() => formatLayer(liveGraph({ nodes: doubling }))).toThrow(UserError);
  });
});

test('a formula that is read can be kept as a genome', () => {
  for (const text of ['x', '0', 'v1', 'x * v1 / rms[wh](x)']) {
    const layer = simplify(parseLayer(text));
    expect(layerOf(genomeOf(layer))).toEqual(layer);
  }
});
