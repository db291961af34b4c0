import { mean } from '../../reading/statistics.ts';
import { svgOf } from '../../svg-of.ts';
import { COLOURS, type Row, rangesPanel } from './chart.ts';
import { curvesPanel, ranged } from './curves.ts';
import type { SearchData } from './search-data.ts';

const SIZE = { width: 1060, height: 400 };
const LEFT = { x: 70, y: 60, width: 470, height: 280 };
const RIGHT = { x: 690, y: 60, width: 330, height: 280 };

const [BLACK, , BLUE, , , , RED] = COLOURS;

/** By name: one colour for each way to propose, and dashes where nothing is rejected. */
const STYLES: Readonly<Record<string, { readonly colour: string; readonly dash: number[] }>> = {
  'random-untested': { colour: BLACK, dash: [2, 3] },
  random: { colour: BLACK, dash: [] },
  'evolution-untested': { colour: BLUE, dash: [2, 3] },
  'evolution-average': { colour: RED, dash: [] },
  'evolution-pareto': { colour: BLUE, dash: [] },
};

/** Curves of the searches, with the known layers as lines; and what their best layers are worth. */
export async function searchFigure({ arms, baselines, seeds, guess }: SearchData): Promise<string> {
  const styles = arms.map(({ arm }) => STYLES[arm]!);
  const rules = baselines.map(({ name, quality }) => ({ label: name, value: quality.mean }));
  const rows = [
    ...arms.map(({ arm, runs, quality }, i): Row => {
      const parts = runs.map(({ best }) => (best ? mean(best.fresh) : guess));
      return { name: arm, label: arm, ...ranged(quality), colour: styles[i]!.colour, parts };
    }),
    ...baselines.map(({ name, fresh, quality }): Row => {
      const parts = fresh.map(mean);
      return { name, label: name, ...ranged(quality), colour: '#777777', parts };
    }),
  ];
  return svgOf(SIZE, [
    ...curvesPanel(LEFT, arms, styles, seeds.length, rules),
    rangesPanel(RIGHT, 'Best layer of each run, in fresh evaluations', rows, {
      ...{ title: 'mean accuracy', format: '.1%' },
    }),
  ]);
}
