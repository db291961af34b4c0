import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { checkClassName, TAKEN } from '../../src/export/class-name.ts';
import type { CodeStyle, Exported } from '../../src/export/exported.ts';
import { decodeModel } from '../../src/export/onnx-proto.ts';
import { EVERY_OP, refuseGaps, unsupported } from '../../src/export/support.ts';
import { TARGETS, type Target } from '../../src/export/targets.ts';
import { INDEX_SETS } from '../../src/graph/extent.ts';
import { arityOf } from '../../src/graph/genome.ts';
import { isMoment, OP_NAMES, type OpName } from '../../src/graph/ops.ts';
import { formatLayer, parseLayer } from '../../src/graph/text.ts';
import { exportedOf } from './vectors.ts';

const targets = Object.entries(TARGETS as Readonly<Record<string, Target>>);
const STYLE: CodeStyle = { className: 'Layer', layout: 'nchw' };

/** Layers in which the op stands, over every index set where it is a moment. */
const layersWith = (op: OpName) =>
  isMoment(op)
    ? INDEX_SETS.map((index) => parseLayer(`x * ${op}[${index}](x)`))
    : [parseLayer(arityOf(op) === 1 ? `${op}(x)` : `${op}(x, v1 - x)`)];

describe.each(targets)('%s', (_name, target) => {
  test.each(OP_NAMES)('writes %s, or leaves it out for a reason, and never both', async (op) => {
    const support = target.ops[op];
    for (const layer of layersWith(op)) {
      const written = async () => target.write(exportedOf(layer, null), STYLE);
      if (support === 'supported') expect((await written()).length).toBeGreaterThan(0);
      else await expect(written()).rejects.toThrow(support.why);
    }
  });

  test('tells ops, index sets and the order of arguments apart', async () => {
    const of = async (formula: string) => {
      const layer = parseLayer(formula);
      // What the comment says would differ anyway.
      const exported = { ...exportedOf(layer, null), formula: 'x' };
      return Buffer.from(await target.write(exported, STYLE)).toString('latin1');
    };
    const formulas = OP_NAMES.filter((op) => target.ops[op] === 'supported')
      .flatMap(layersWith)
      .map(formatLayer);
    const orders = ['x / v1', 'v1 / x', 'x - v1', 'v1 - x', 'x * v0', 'x * v1'];
    const written = await Promise.all([...new Set([...formulas, ...orders])].map(of));
    expect(new Set(written).size).toBe(written.length);
  });

  test('writes the same bytes again', async () => {
    const exported = exportedOf(parseLayer('x * sigmoid(v1 * x) / std[whc/g](x)'), 'EvoNorm-S0');
    expect(await target.write(exported, STYLE)).toEqual(await target.write(exported, STYLE));
  });
});

test('a gap is refused with its reason', () => {
  const ops = { ...EVERY_OP, log: unsupported('it knows no logarithm') };
  expect(() => refuseGaps('abacus', ops, parseLayer('x + log(x)'))).toThrow(
    new UserError('This layer contains log, which abacus leaves out: it knows no logarithm.', 1),
  );
  refuseGaps('abacus', ops, parseLayer('x + exp(x)'));
});

/** What stands around free text in a file: where its comment begins, and what would end it. */
const COMMENTS: readonly { readonly begins: RegExp; readonly whole: RegExp }[] = [
  { begins: /^"""/, whole: /^"""[\s\S]*?"""/ },
  { begins: /^%/, whole: /^(?:%.*\n)+/ },
  { begins: /^\/\//, whole: /^(?:\/\/.*\n)+/ },
  { begins: /^\/\*/, whole: /^\/\*[\s\S]*?\*\// },
  { begins: /^<!--/, whole: /^<!--[\s\S]*?-->/ },
  { begins: /^#/, whole: /^(?:#.*\n)+/ },
];

/** The file without the comment that it begins with. */
function behindComment(text: string): string {
  const comment = COMMENTS.find(({ begins }) => begins.test(text));
  if (!comment) throw new Error(`the file begins with ${JSON.stringify(text.slice(0, 40))}`);
  return text.replace(comment.whole, '');
}

const NASTY = [
  '"""\nimport os\n"""',
  "'''\nraise SystemExit\n'''",
  '*/ process.exit(); /*',
  '-->\n<script>alert(1)</script>\n<!--',
  '--',
  '-',
  '"]; evil [label="',
  '}\ndigraph evil {',
  '\n\\input{/etc/passwd}',
  '\\write18{id}',
  '\r\nevil',
  '\u2028evil\u2029evil\u0085evil\v\f',
  '\u0024{process.exit()}',
  '`\u0024{1}`',
  '</svg><svg onload="alert(1)">',
  '&lt;!ENTITY x SYSTEM "file:///etc/passwd"&gt;',
  '{{evil}} {% evil %}',
  '\\',
  '\\"',
  '\0\u001b[2J',
  '# coding: utf-7',
  '\ud800',
  '__proto__',
];

const nasty = fc.oneof(
  fc.constantFrom(...NASTY),
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc
    .array(fc.constantFrom(...NASTY, 'a', ' ', '\n'), { maxLength: 4 })
    .map((parts) => parts.join('')),
);

const plain = exportedOf(parseLayer('max(x, 0) / std[wh](x - v1)'), null);
const scored = {
  ...plain,
  scores: { protocol: 'p', mean: 0.5, perAnchor: [{ anchor: 'a', accuracy: 0.5 }], evaluations: 2 },
};

/** The layer with text of unknown origin wherever there is free text. */
const hostile: fc.Arbitrary<Exported> = fc
  .record({
    ...{ id: nasty, key: nasty, name: nasty, found: nasty },
    ...{ protocol: nasty, anchor: nasty, formula: nasty },
  })
  .map(({ id, key, name, found, protocol, anchor, formula }) => ({
    ...{ ...plain, id, structuralKey: key, zooName: name, found, formula },
    scores: { ...scored.scores, protocol, perAnchor: [{ anchor, accuracy: 0.5 }] },
  }));

/** Identifiers that begin with a letter are all that gets past the check; nothing needs escaping in them. */
test('a name that is taken for a class is an identifier', () => {
  fc.assert(
    fc.property(fc.oneof(nasty, fc.stringMatching(/^[A-Za-z]\w{0,8}.?$/)), (name) => {
      try {
        expect(checkClassName(name)).toMatch(/^[A-Za-z][A-Za-z0-9_]{0,99}$/);
      } catch (error) {
        expect(error).toBeInstanceOf(UserError);
      }
    }),
    { numRuns: 500 },
  );
});

describe('a name that stands for something else is refused', () => {
  test.each([
    ...['class', 'None', 'match', 'await', 'interface', 'number', 'enum', 'arguments'],
    ...['torch', 'nn', 'Tensor', 'Module', 'Layer', 'tf', 'keras', 'ops', 'jnp', 'list', 'Options'],
  ])('%s', (name) => {
    expect(() => checkClassName(name)).toThrow(
      `"${name}" cannot be the name of a class, for it is a keyword or something that exported code uses`,
    );
    const [, other] = /such as (\w+)\.$/.exec(messageOf(() => checkClassName(name)))!;
    expect(checkClassName(other!)).toBe(other);
  });

  test('whatever the JavaScript of any op defines, or takes from where it runs', () => {
    const found = new Set<string>();
    for (const layer of [...OP_NAMES.flatMap(layersWith), parseLayer('max(x, 0) / (x - v0)')]) {
      const { code, types } = withoutText(TARGETS.tfjs.write(exportedOf(layer, null), STYLE));
      for (const [, name] of code.matchAll(/^(?:async )?(?:function|const) (\w+)/gm))
        found.add(name!);
      for (const [, name] of types.matchAll(/@typedef \{.*\} (\w+)/g)) found.add(name!);
      for (const [name] of code.matchAll(/(?<![.#\w])[A-Za-z]\w*/g))
        if (name in globalThis) found.add(name);
    }
    expect([...found]).toEqual(expect.arrayContaining(['Math', 'guard', 'Gradients', 'GOLDEN']));
    expect([...found].filter((name) => !TAKEN.has(name))).toEqual([]);
  });
});

function messageOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('nothing was thrown');
}

/** JavaScript without its comments and texts; and the comments alone, which have the types. */
function withoutText(source: string): { code: string; types: string } {
  const comments = /\/\*[\s\S]*?\*\/|\/\/.*/g;
  const types = source.match(comments)!.join('\n');
  return { code: source.replaceAll(comments, '').replaceAll(/'[^'\n]*'|`[^`]*`/g, "''"), types };
}

test.each(targets)('%s differs between two names in the names alone', async (_name, target) => {
  const [short, long] = ['Aaaaaaaa', 'Bbbbbbbb'].map(async (className) =>
    Buffer.from(await target.write(scored, { className, layout: 'nchw' })).toString('latin1'),
  );
  expect((await short)!.replaceAll('Aaaaaaaa', 'Bbbbbbbb')).toBe(await long);
});

describe('text of a database or a file leaves the code as it is', () => {
  const texts = targets.filter(([name]) => name !== 'json' && name !== 'onnx');
  test.each(texts)('in %s', async (_name, target) => {
    const write = async (exported: Exported) => String(await target.write(exported, STYLE));
    const expected = behindComment(await write(scored));
    await fc.assert(
      fc.asyncProperty(hostile, async (exported) => {
        const text = await write(exported);
        expect(behindComment(text)).toBe(expected);
        expect(text).toMatch(/^[\n\x20-\x7eγβ·×÷−≥²√ε°]*$/);
      }),
      { numRuns: 40 },
    );
  });

  test('in onnx, where it stands in properties', async () => {
    const read = async (exported: Exported) => {
      const { docString, metadataProps, ...model } = await decodeModel(
        await TARGETS.onnx.write(exported, STYLE),
      );
      return { model, texts: [docString, ...metadataProps.flatMap(Object.values)] };
    };
    const { model: expected } = await read(scored);
    await fc.assert(
      fc.asyncProperty(hostile, async (exported) => {
        const { model, texts } = await read(exported);
        expect(model).toEqual(expected);
        for (const text of texts) expect(text).toMatch(/^[\n\x20-\x7e]*$/);
      }),
      { numRuns: 40 },
    );
  });

  test('in json, where it is text', () => {
    fc.assert(
      fc.property(hostile, (exported) => {
        const { id, structuralKey, zooName, found, formula, scores } = exported;
        const read = JSON.parse(TARGETS.json.write(exported));
        expect(read).toEqual({
          ...JSON.parse(TARGETS.json.write(scored)),
          ...{ id, structuralKey, name: zooName, found, formula, scores },
        });
      }),
    );
  });
});
