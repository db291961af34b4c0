import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { useInView } from '../in-view.ts';
import { colourOf, onThemeChange } from '../theme.ts';

/** A row of numbers of a chart: the colour is a name of the style sheet. */
export interface Line {
  readonly label: string;
  readonly colour: string;
  readonly kind?: 'line' | 'points' | 'step' | 'area';
  readonly width?: number;
  readonly size?: number;
  readonly dash?: readonly number[];
  /** In the key below the chart; true unless told. */
  readonly listed?: false;
}

/** A value drawn across the chart. */
export interface Level {
  readonly label: string;
  readonly value: number;
}

export interface ChartProps {
  readonly title: string;
  /** What there is to see, for those who do not. */
  readonly summary: string;
  readonly x: {
    readonly label: string;
    readonly format?: (value: number) => string;
    /** Leaves room on both sides, for points that would lie on the edge. */
    readonly roomy?: true;
  };
  readonly y: {
    readonly label: string;
    readonly format?: (value: number) => string;
    readonly range?: readonly [number, number];
  };
  readonly lines: readonly Line[];
  /** x, ascending, then the values of each line; null where there is none. */
  readonly data: readonly (readonly (number | null)[])[];
  readonly levels?: readonly Level[];
  readonly height?: number;
  /** Called with the place in the data that was clicked. */
  readonly onPick?: (index: number) => void;
}

const FONT = '12px system-ui, sans-serif';

/** A chart of a hundred thousand points, drawn again while it is in view. What it shows is also told in words. */
export function Chart(props: ChartProps) {
  const { place, inView } = useInView<HTMLDivElement>();
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const [at, setAt] = useState('');
  const shape = JSON.stringify([props.lines, props.x.label, props.y, props.height]);
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const draw = () => {
      plot.current?.destroy();
      plot.current = plotIn(element, latest, setAt);
    };
    draw();
    const resize = new ResizeObserver(([entry]) => {
      const width = Math.floor(entry?.contentRect.width ?? 0);
      const { current } = plot;
      if (current && width > 0 && width !== current.width)
        current.setSize({ width, height: current.height });
    });
    resize.observe(element);
    const forget = onThemeChange(draw);
    return () => {
      resize.disconnect();
      forget();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape]);
  useEffect(() => {
    const { current } = plot;
    if (inView && current && current.data !== dataOf(props)) current.setData(dataOf(props));
  }, [props.data, props.levels, inView]);
  return (
    <figure class="chart">
      <figcaption>
        {props.title}
        <span class="at" aria-hidden="true">
          {at}
        </span>
      </figcaption>
      <div ref={place} role="img" aria-label={`${props.title}. ${props.summary}`} />
      <Key lines={props.lines} />
    </figure>
  );
}

const Key = ({ lines }: Pick<ChartProps, 'lines'>) => {
  const listed = lines.filter((line) => line.listed !== false);
  if (listed.length < 2) return null;
  return (
    <ul class="key">
      {listed.map(({ label, colour, kind }) => (
        <li key={label}>
          <svg viewBox="0 0 16 10" aria-hidden="true" class={`swatch ${kind ?? 'line'} ${colour}`}>
            {kind === 'points' ? <circle cx="8" cy="5" r="3" /> : <path d="M0 5h16" />}
          </svg>
          {label}
        </li>
      ))}
    </ul>
  );
};

const dataOf = ({ data }: ChartProps) => data as unknown as uPlot.AlignedData;

function plotIn(
  element: HTMLElement,
  latest: { readonly current: ChartProps },
  setAt: (text: string) => void,
): uPlot {
  const { x, y, lines, height = 260 } = latest.current;
  const [ink, grid] = [colourOf('ink'), colourOf('grid')];
  const axis = {
    ...{ stroke: ink, font: FONT, labelFont: FONT, labelSize: 20 },
    grid: { stroke: grid, width: 1 },
    ticks: { stroke: grid, width: 1 },
  };
  const numbers = (format: ((value: number) => string) | undefined) =>
    format && { values: (_: uPlot, ticks: number[]) => ticks.map(format) };
  const options: uPlot.Options = {
    ...{ width: Math.max(200, element.clientWidth), height, legend: { show: false } },
    cursor: { points: { show: true }, drag: { x: true, y: false } },
    scales: {
      x: { time: false, ...(x.roomy && { range: withRoom }) },
      y: y.range ? { range: [...y.range] as [number, number] } : { range: roomy(latest) },
    },
    axes: [
      { ...axis, label: x.label, ...numbers(x.format) },
      { ...axis, label: y.label, size: 64, ...numbers(y.format) },
    ],
    series: [{}, ...lines.map(seriesOf)],
    hooks: {
      draw: [(self) => drawLevels(self, latest.current.levels ?? [], ink)],
      setCursor: [(self) => setAt(readout(self, latest.current))],
      ready: [
        (self) =>
          self.over.addEventListener('click', () => {
            const { idx } = self.cursor;
            if (typeof idx === 'number') latest.current.onPick?.(idx);
          }),
      ],
    },
  };
  return new uPlot(options, dataOf(latest.current), element);
}

const withRoom = (_: uPlot, low: number, high: number): [number, number] => {
  const room = (high - low || Math.abs(high) || 1) * 0.02;
  return [low - room, high + room];
};

/** Room for the levels too, which are no data. */
const roomy =
  (latest: { readonly current: ChartProps }) =>
  (_: uPlot, low: number | null, high: number | null): [number, number] => {
    const levels = (latest.current.levels ?? []).map(({ value }) => value);
    const bottom = Math.min(low ?? Number.POSITIVE_INFINITY, ...levels);
    const top = Math.max(high ?? Number.NEGATIVE_INFINITY, ...levels);
    if (!Number.isFinite(bottom) || !Number.isFinite(top)) return [0, 1];
    const room = (top - bottom || Math.abs(top) || 1) * 0.05;
    return [bottom - room, top + room];
  };

function seriesOf({
  label,
  colour,
  kind = 'line',
  width = 1.5,
  size = 3,
  dash,
}: Line): uPlot.Series {
  const stroke = colourOf(colour);
  if (kind === 'points')
    return { label, stroke, fill: stroke, paths: squares(size), points: { show: false } };
  return {
    ...{ label, stroke, width, points: { show: false }, spanGaps: true },
    ...(dash && { dash: [...dash] }),
    ...(kind === 'area' && { fill: stroke, width: 0 }),
    ...(kind === 'step' && { paths: uPlot.paths.stepped!({ align: 1 }) }),
  };
}

/** Points as squares of some pixels, which are drawn ten times as fast as circles. */
const squares =
  (size: number): uPlot.Series.PathBuilder =>
  (self, series, from, to) => {
    const [xs, ys] = [self.data[0], self.data[series]!];
    const side = size * devicePixelRatio;
    const { min = 0, max = 1 } = self.scales.x!;
    const { min: low = 0, max: high = 1 } = self.scales.y!;
    const { left, top, width, height } = self.bbox;
    const path = new Path2D();
    for (let i = from; i <= to; i++) {
      const y = ys[i];
      if (y === null || y === undefined) continue;
      const across = left + ((xs[i]! - min!) / (max! - min!)) * width;
      const down = top + (1 - (y - low!) / (high! - low!)) * height;
      path.rect(Math.round(across - side / 2), Math.round(down - side / 2), side, side);
    }
    return { stroke: null, fill: path } as unknown as uPlot.Series.Paths;
  };

function drawLevels(self: uPlot, levels: readonly Level[], ink: string): void {
  const { ctx, bbox } = self;
  const dot = devicePixelRatio;
  const sorted = levels
    .map(({ label, value }) => ({ label, y: Math.round(self.valToPos(value, 'y', true)) }))
    .filter(({ y }) => y >= bbox.top && y <= bbox.top + bbox.height)
    .sort((a, b) => b.y - a.y);
  ctx.save();
  Object.assign(ctx, { strokeStyle: ink, globalAlpha: 0.5, lineWidth: dot });
  ctx.setLineDash([4 * dot, 3 * dot]);
  for (const { y } of sorted) {
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
  }
  ctx.setLineDash([]);
  Object.assign(ctx, { globalAlpha: 1, fillStyle: ink, textAlign: 'right', lineWidth: 4 * dot });
  Object.assign(ctx, {
    strokeStyle: colourOf('page'),
    font: `${11 * dot}px system-ui, sans-serif`,
  });
  let last = Number.POSITIVE_INFINITY;
  for (const { label, y } of sorted) {
    // Names that would cover each other are left to the table below the charts.
    if (last - y < 13 * dot) continue;
    const place = [label, bbox.left + bbox.width - 6 * dot, y + 4 * dot] as const;
    ctx.strokeText(...place);
    ctx.fillText(...place);
    last = y;
  }
  ctx.restore();
}

function readout(self: uPlot, { x, y, lines }: ChartProps): string {
  const { idx } = self.cursor;
  if (typeof idx !== 'number') return '';
  const format = (value: number, how?: (value: number) => string) =>
    how ? how(value) : String(value);
  const values = lines.flatMap((line, i) => {
    const value = self.data[i + 1]?.[idx];
    return typeof value === 'number' && line.listed !== false
      ? [`${line.label} ${format(value, y.format)}`]
      : [];
  });
  return `${x.label} ${format(self.data[0][idx]!, x.format)}: ${values.join(', ')}`;
}
