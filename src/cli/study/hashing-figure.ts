import { svgOf } from '../../svg-of.ts';
import { type Bar, barsPanel, COLOURS, legend, linesPanel, type Series } from './chart.ts';
import { curvesPanel, ranged } from './curves.ts';
import type { HashingData } from './hashing-data.ts';

const WIDTH = 1000;
const MARGIN = 60;
const HEIGHT = 240;
/** Of a row of panels, with titles and axes. */
const ROW = 340;
const LEFT = { x: 80, width: 400, height: HEIGHT };
const RIGHT = { x: 610, width: 350, height: HEIGHT };

/** The dashes of the arms, which differ where colours might not. */
const DASHES = [[], [], [], [6, 3], [2, 2], [8, 3, 2, 3], [12, 4]] as const;

/** The study's figure as SVG: a row of panels about the arms, and one about the precision of keys. */
export async function hashingFigure(data: HashingData): Promise<string> {
  const rows = [armsRow, bitsRow].map((row) => row(data)).filter((row) => row !== null);
  const marks = rows.flatMap((row, i) => row(MARGIN + i * ROW));
  return svgOf({ width: WIDTH, height: MARGIN + rows.length * ROW - 30 }, marks);
}

type RowOf = ((y: number) => object[]) | null;

function armsRow({ arms, seeds }: HashingData): RowOf {
  if (arms.length === 0) return null;
  const bars = arms.map(
    ({ arm, proposals }, i): Bar => ({
      ...{ name: arm, label: arm, colour: COLOURS[i]!, ...ranged(proposals) },
    }),
  );
  const styles = arms.map((_, i) => ({ colour: COLOURS[i]!, dash: DASHES[i]! }));
  return (y) => [
    ...curvesPanel({ ...LEFT, y }, arms, styles, seeds.length),
    barsPanel({ ...RIGHT, y }, 'Proposals covered by the same training', bars, {
      title: 'proposals',
    }),
  ];
}

function bitsRow({ bits, collisions, sample }: HashingData): RowOf {
  if (bits.length === 0) return null;
  const precisions = bits.map((row) => row.bits);
  const x = { title: 'mantissa bits of a key', ticks: precisions };
  const merged: Series = {
    ...{ name: 'collisions', label: 'functions of the sample', colour: COLOURS[2] },
    points: collisions.map((found) => {
      const value = found.merged / found.functions;
      return { x: found.bits, value, low: value, high: value };
    }),
  };
  const falseHits: Series = {
    ...{ name: 'false-hits', label: 'hits of the searches', colour: COLOURS[1], dash: DASHES[3] },
    points: bits.flatMap(({ bits: x, falseHits: { rate, interval } }) =>
      rate === null ? [] : [{ x, ...ranged({ mean: rate, interval }) }],
    ),
  };
  const quality = (name: string, label: string, i: number, value: 'best' | 'quality'): Series => ({
    ...{ name, label, colour: COLOURS[i]!, dash: DASHES[i]! },
    points: bits.flatMap((row) => (row[value] ? [{ x: row.bits, ...ranged(row[value]) }] : [])),
  });
  const found = [
    quality('found', 'as the runs found it', 3, 'best'),
    quality('afresh', 'in fresh evaluations', 6, 'quality'),
  ].filter(({ points }) => points.length > 0);
  return (y) => [
    linesPanel(
      { ...LEFT, y },
      `Collisions: ${sample.functions} functions, and searches`,
      [merged, falseHits],
      { x, dots: true, y: { title: 'share that meets another function', format: '.2~%' } },
    ),
    ...legend([merged, falseHits], LEFT.x + LEFT.width - 150, y + 12),
    ...(found.length > 0
      ? [
          linesPanel({ ...RIGHT, y }, 'Best layer of searches with such keys', found, {
            ...{ x, dots: true },
            y: { title: 'mean accuracy', format: '.1%' },
          }),
          ...legend(found, RIGHT.x + RIGHT.width - 150, y + HEIGHT - 18 * found.length),
        ]
      : []),
  ];
}
