import { describe, expect, test } from 'vitest';
import { searchFigure } from '../../../src/cli/study/search-figure.ts';
import { searchReport, searchTable } from '../../../src/cli/study/search-report.ts';
import { SEARCH_ARMS } from '../../../src/search/study/search.ts';
import { syntheticSearches } from './synthetic.ts';
import { tagsOf } from './xml.ts';

const names = SEARCH_ARMS.map(({ name }) => name);
const gainOf = (arm: string, data = syntheticSearches()) =>
  data.arms.find((one) => one.arm === arm)!.gain;

describe('the data', () => {
  test('differences are taken seed by seed in fresh evaluations', () => {
    // The second arm is the control; the third is better by 0.01 with every seed.
    expect(gainOf('random')).toBeNull();
    expect(gainOf('evolution-untested')!.difference).toBeCloseTo(0.01, 12);
    // The first is worse by 0.01 and by 0, 0.001 or 0.002 with the seeds.
    const gains = [1, 2, 3, 4, 5].map((seed) => -0.01 - 0.001 * (seed % 3));
    const mean = gains.reduce((a, b) => a + b) / 5;
    const error = Math.sqrt(gains.reduce((sum, g) => sum + (g - mean) ** 2, 0) / 4 / 5);
    const { difference, interval } = gainOf('random-untested')!;
    expect(difference).toBeCloseTo(mean, 12);
    // Student's t for four degrees of freedom.
    expect(interval[1] - mean).toBeCloseTo(2.776445 * error, 8);
  });

  test('p-values are corrected for the arms compared', () => {
    const gains = syntheticSearches().arms.flatMap(({ gain }) => gain ?? []);
    const [first, second] = gains.toSorted((a, b) => a.p - b.p);
    expect(gains).toHaveLength(4);
    expect(first!.corrected).toBe(4 * first!.p);
    expect(second!.corrected).toBe(3 * second!.p);
    const two = syntheticSearches({ arms: ['random-untested', 'random'] });
    const { p, corrected } = gainOf('random-untested', two)!;
    expect(corrected).toBe(p);
  });

  test('a run without layer counts as guessing', () => {
    const { guess, arms } = syntheticSearches();
    expect(guess).toBe(0.1);
    const none = arms.find(({ arm }) => arm === 'evolution-pareto')!;
    expect(none.quality).toEqual({ mean: 0.1, interval: [0.1, 0.1] });
    expect(none.curve.every(({ mean }) => mean === 0.1)).toBe(true);
    expect(none.gain!.difference).toBeLessThan(-0.5);
  });

  test('nothing is tested without the control arm, or with one seed', () => {
    for (const changes of [{ arms: ['evolution-average', 'evolution-pareto'] }, { seeds: 1 }]) {
      const data = syntheticSearches(changes);
      expect(data.arms.map(({ gain }) => gain)).toEqual(data.arms.map(() => null));
      expect(searchReport(data, 'x')).toContain('- Nothing is tested: that takes the arm *random*');
    }
  });
});

describe('the report', () => {
  const data = syntheticSearches();
  const report = searchReport(data, 'evolayer study search --seeds 5');

  test('says what the numbers say', () => {
    expect(report).toMatch(
      /^- \*random-untested\* finds worse layers than \*random\* \(−1\.\d\d points, 95 % interval −/m,
    );
    expect(report).toMatch(
      /^- \*evolution-untested\* finds better layers than \*random\* \(\+1\.00/m,
    );
    expect(report).toMatch(/^- \*evolution-pareto\* finds worse layers than/m);
    const equal = structuredClone(data);
    const { gain } = equal.arms[0]!;
    Object.assign(gain!, { corrected: 0.05 });
    expect(searchReport(equal, 'x')).toMatch(
      /^- \*random-untested\* against \*random\*: no difference is shown \(/m,
    );
  });

  test('holds the best layers against the best known one', () => {
    expect(report).toMatch(
      /^- 0 of 20 runs ended with a layer above the best known layer, BN-ReLU with 81\.00 %.*`x \* sigmoid\(x\)` of \*evolution-average\*, has 73\.20 %, −7\.80 points/m,
    );
    const bare = searchReport(syntheticSearches({ baselines: [] }), 'x');
    expect(bare).not.toMatch(/known layer,|Known layers, evaluated/);
  });

  test('names every arm, every layer found, and how it was made', () => {
    for (const name of names) expect(report).toMatch(new RegExp(`^\\| ${name} \\| .* \\|$`, 'm'));
    expect(report).toContain('`evolayer study search --seeds 5`');
    expect(report.match(/^\| evolution-pareto \| \d \| {2}\| {2}\| none \|$/gm)).toHaveLength(5);
    expect(report).toMatch(/95 % confidence interval/);
    expect(searchTable(data)).toContain('p, corrected');
    for (const seeds of [1, 2, 5])
      expect(searchReport(syntheticSearches({ seeds }), 'x')).not.toMatch(
        /NaN|undefined|Infinity|null/,
      );
  });
});

describe('the figure', () => {
  test('has a line and a band for each arm, a rule for each known layer, and a row for both', async () => {
    const svg = await searchFigure(syntheticSearches());
    const tags = tagsOf(svg);
    const marked = (mark: string) => tags.filter((tag) => tag.includes(` ${mark}"`));
    for (const name of names)
      for (const mark of ['line', 'band', 'mean'])
        expect(marked(`${mark}-${name}`)).toHaveLength(1);
    for (const mark of ['rule-0', 'rule-1', 'mean-BN-ReLU', 'mean-EvoNorm-S0'])
      expect(marked(mark)).toHaveLength(1);
    expect(svg).toContain('>Best fitness so far, mean of 5 runs and 95 % interval<');
    expect(await searchFigure(syntheticSearches())).toBe(svg);
  });

  test.each([{ seeds: 1 }, { baselines: [] }, { arms: ['evolution-pareto'] }])(
    '%j does',
    async (changes) => {
      const svg = await searchFigure(syntheticSearches(changes));
      expect(tagsOf(svg).length).toBeGreaterThan(50);
      expect(svg).not.toMatch(/NaN|undefined|Infinity/);
    },
  );
});
