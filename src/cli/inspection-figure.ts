import type { BlockSignal, Inspection } from '../eval/inspect.ts';
import type { Distribution } from '../eval/inspect-layer.ts';
import { clip } from '../format.ts';
import { svgOf } from '../svg-of.ts';
import { COLOURS, legend, plainPanel, type Series } from './study/chart.ts';

/** How many layers have a colour of their own. */
export const MOST_LAYERS = COLOURS.length;

const HEIGHT = 230;
/** Of a row of panels, with titles and axes. */
const ROW = 320;
const TOP = 50;
const LEGEND = 18;

const LOG = { format: '.0e', log: true } as const;

/** Singular values below this are not drawn: rounding alone makes them differ from zero. */
const FLAT = 1e-4;

interface Point {
  readonly x: number;
  readonly value: number;
}

export interface Inspected extends Inspection {
  readonly layer: string;
}

/** The inspection of several layers as SVG; `reference` is drawn in black and dashed. */
export function inspectionFigure(layers: readonly Inspected[], reference: string): Promise<string> {
  const series = seriesOf(layers, reference);
  const blocks = (title: string, y: string, of: (block: BlockSignal) => number | null) =>
    drawn(title, { title: 'block' }, { title: y, ...LOG }, (one) =>
      one.blocks.flatMap((block) => pointAbove0(block.block, of(block))),
    );
  const drawn =
    (
      title: string,
      x: { readonly title: string },
      y: { readonly title: string; readonly format?: string; readonly log?: true },
      points: (one: Inspected) => Point[],
    ) =>
    (at: { readonly x: number; readonly y: number }) =>
      plainPanel({ ...at, width: 390, height: HEIGHT }, title, series, layers.map(points), {
        x,
        y,
      });
  const density = (title: string, of: (one: Inspected) => Distribution) =>
    drawn(title, { title: 'output, in deviations' }, { title: 'density', ...LOG }, (one) =>
      densityOf(of(one)),
    );
  const middle = layers[0]!.network.block;
  const panels = [
    blocks('Channel variance of the stream', 'average', ({ stream }) => stream.variance),
    blocks('Squared channel mean of the stream', 'average', ({ stream }) => stream.squaredMean),
    blocks("Channel variance of the layer's output", 'average', ({ output }) => output.variance),
    blocks(
      "Squared channel mean of the layer's output",
      'average',
      ({ output }) => output.squaredMean,
    ),
    blocks('Gradient of the stream', 'norm', ({ gradient }) => gradient),
    drawn('Jacobian', { title: 'rank' }, { title: 'singular value', ...LOG }, ({ jacobian }) =>
      jacobian.singularValues.flatMap((value, i) => (value < FLAT ? [] : [{ x: i + 1, value }])),
    ),
    density('Output on standard normal input', (one) => one.normal.output),
    density(`Output in the network, block ${middle}`, (one) => one.network.output),
  ];
  const bottom = TOP + (panels.length / 2) * ROW;
  const marks = panels.flatMap((panel, i) => [
    panel({ x: i % 2 ? 580 : 80, y: TOP + Math.floor(i / 2) * ROW }),
  ]);
  return svgOf({ width: 1000, height: bottom + LEGEND * layers.length }, [
    ...marks,
    ...legend(series, 80, bottom - 10),
  ]);
}

function seriesOf(layers: readonly Inspected[], reference: string): Omit<Series, 'points'>[] {
  let next = 1;
  return layers.map(({ layer, overflow: { forward, backward } }, i) => {
    const known = layer === reference;
    const lost = forward !== null ? `values in block ${forward}` : `gradients in block ${backward}`;
    const note = (forward ?? backward) ? ` (${lost} leave single precision)` : '';
    return {
      ...{ name: `layer-${i}`, label: `${clip(layer, 100)}${note}` },
      colour: COLOURS[known ? 0 : next++]!,
      ...(known && { dash: [6, 3] }),
    };
  });
}

const pointAbove0 = (x: number, value: number | null): Point[] =>
  value !== null && value > 0 ? [{ x, value }] : [];

/**
 * A point in the middle of every bin, so high that the area below all of them is 1, with the standard
 * deviation as the unit. Empty bins have none.
 */
function densityOf({ deviation, histogram }: Distribution): Point[] {
  const { from, to, below, above, counts } = histogram;
  const all = counts.reduce((a, b) => a + b, below + above);
  if (!deviation) return [];
  const width = (to - from) / counts.length / deviation;
  return counts.flatMap((count, i) =>
    pointAbove0(from / deviation + (i + 0.5) * width, count / (all * width)),
  );
}
