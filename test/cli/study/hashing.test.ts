import { describe, expect, test } from 'vitest';
import { hashingFigure } from '../../../src/cli/study/hashing-figure.ts';
import { hashingReport } from '../../../src/cli/study/hashing-report.ts';
import { HASHING_ARMS } from '../../../src/search/study/hashing.ts';
import { syntheticData } from './synthetic.ts';
import { tagsOf } from './xml.ts';

test('the check of XML finds what is none', () => {
  expect(tagsOf('<svg a="1"><g/>x &lt; y</svg>')).toEqual(['svg a="1"', 'g']);
  for (const wrong of ['<svg>', '<svg></g>', '<svg a=1/>', '<svg>a & b</svg>', '<svg/><svg/>', 'x'])
    expect(() => tagsOf(wrong), wrong).toThrow();
});

/** The probability of `count` or fewer of `total`, each of which comes with probability `p`. */
function atMost(count: number, total: number, p: number): number {
  let term = (1 - p) ** total;
  let sum = term;
  for (let k = 1; k <= count; k++) {
    term *= ((total - k + 1) / k) * (p / (1 - p));
    sum += term;
  }
  return sum;
}

const names = HASHING_ARMS.map(({ name }) => name);

describe('the figure', () => {
  test('has a line, a band and a bar for every arm, and is the same every time', async () => {
    const svg = await hashingFigure(syntheticData());
    const tags = tagsOf(svg);
    for (const name of names)
      for (const mark of ['line', 'band', 'bar'])
        expect(tags.filter((tag) => new RegExp(` ${mark}-${name}"`).test(tag))).toHaveLength(1);
    for (const name of ['collisions', 'false-hits', 'found', 'afresh'])
      expect(tags.filter((tag) => tag.includes(` dots-${name}"`))).toHaveLength(1);
    expect(await hashingFigure(syntheticData())).toBe(svg);
  });

  test('is white behind everything, with axes that say what and in which unit', async () => {
    const svg = await hashingFigure(syntheticData());
    expect(svg).toMatch(/<rect width="\d+" height="\d+" fill="white"/);
    for (const title of ['training, in full evaluations', 'proposals', 'mantissa bits of a key'])
      expect(svg).toContain(`>${title}<`);
  });

  test('has only what was studied', async () => {
    const arms = await hashingFigure(syntheticData({ bits: [] }));
    expect(arms).toContain(' line-tabu"');
    expect(arms).not.toContain('mantissa');
    const bits = await hashingFigure(syntheticData({ arms: [] }));
    expect(bits).toContain(' dots-collisions"');
    expect(bits).not.toContain(' line-tabu"');
  });

  test.each([1, 2])('%d seeds do', async (seeds) => {
    const svg = await hashingFigure(syntheticData({ seeds }));
    expect(tagsOf(svg).length).toBeGreaterThan(100);
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  });
});

describe('the data and the report', () => {
  const data = syntheticData();

  test('the ratio is that of the same seed', () => {
    const ratios = [1, 2, 3].map((seed) => Math.log((150 + seed) / (100 + seed)));
    const functional = data.arms.find(({ arm }) => arm === 'functional')!;
    expect(functional.ratio?.mean).toBeCloseTo(
      Math.exp(ratios.reduce((a, b) => a + b) / ratios.length),
      12,
    );
    const [low, high] = functional.ratio!.interval!;
    // Student's t for two degrees of freedom.
    const spread = Math.log(high / low) / 2;
    const center = ratios.reduce((a, b) => a + b) / 3;
    const deviation = Math.sqrt(ratios.reduce((sum, r) => sum + (r - center) ** 2, 0) / 2);
    expect(spread).toBeCloseTo((4.302653 * deviation) / Math.sqrt(3), 6);
    expect(data.arms[0]).toMatchObject({ arm: 'no-cache', ratio: null, gain: null });
  });

  test('false hits are those of all seeds, with the exact interval', () => {
    const { falseHits } = data.arms.find(({ arm }) => arm === 'functional')!;
    expect(falseHits).toMatchObject({ hits: 72, count: 6, rate: 6 / 72 });
    const [low, high] = falseHits.interval!;
    expect(atMost(5, 72, low)).toBeCloseTo(0.975, 9);
    expect(atMost(6, 72, high)).toBeCloseTo(0.025, 9);
    const none = { hits: 0, count: 0, rate: null, interval: null };
    expect(data.arms[0]).toMatchObject({ arm: 'no-cache', falseHits: none });
    const row = hashingReport(data, 'x').match(/^\| functional .*$/m)![0];
    expect(row).toContain(`6 of 72 (${(100 * low).toFixed(2)} % to ${(100 * high).toFixed(2)} %)`);
  });

  test('curves begin where every run knows a layer, and keep what is known', () => {
    const { curve } = data.arms[0]!;
    expect(curve[0]!.work).toBeGreaterThanOrEqual(1.3);
    expect(curve[0]!.work).toBeLessThan(1.3 + 10 / 60 + 1e-9);
    expect(curve[0]!.mean).toBeCloseTo(0.6, 12);
    expect(curve.at(-1)!.work).toBe(10);
    expect(curve.at(-1)!.mean).toBeCloseTo(0.804, 12);
  });

  test('the functional arm is that of the usual precision', () => {
    const { bits: _, ...twenty } = data.bits.find(({ bits }) => bits === 20)!;
    const functional = data.arms.find(({ arm }) => arm === 'functional')!;
    expect(functional).toMatchObject(twenty);
  });

  test('the report names every arm, and what is counted', () => {
    const report = hashingReport(data, 'evolayer study hashing --seeds 3');
    for (const name of names) expect(report).toMatch(new RegExp(`^\\| ${name} \\|`, 'm'));
    expect(report).toContain('`evolayer study hashing --seeds 3`');
    expect(report).toMatch(/full evaluation/);
    expect(report).not.toMatch(/NaN|undefined|Infinity/);
  });

  test('a run without any layer leaves its arm without quality', () => {
    const one = syntheticData({ seeds: 1 });
    expect(one.arms[0]!.quality).toEqual({ mean: 0.71, interval: null });
    expect(hashingReport(one, 'x')).not.toMatch(/NaN|undefined|Infinity|null/);
  });
});
