/*
 * Charts of studies as Vega specifications (vega.github.io), drawn without a browser. Vega's own language
 * and not Vega-Lite's, whose releases want newer versions of Node than this program does.
 */

/** Where a panel lies in the figure, in pixels; its axes and title lie outside of this. */
export interface Place {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** A value with the ends of its interval; both are the value where there is none. */
export interface Ranged {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

export interface Series {
  /** Names the marks in the SVG: `line-NAME`, `band-NAME`. */
  readonly name: string;
  readonly label: string;
  readonly colour: string;
  /** Lengths of dashes and gaps; solid where there is none. */
  readonly dash?: readonly number[];
  readonly points: readonly (Ranged & { readonly x: number })[];
}

interface Axis {
  readonly title: string;
  /** d3-format. */
  readonly format?: string;
  readonly ticks?: readonly number[];
  /** In powers of ten; the values must be above 0. */
  readonly log?: true;
}

/** A value to compare with, drawn across a panel. */
export interface Rule {
  readonly label: string;
  readonly value: number;
}

/** Colours that people who see few of them tell apart, also in grey (Okabe and Ito 2008), without its yellow. */
export const COLOURS = [
  '#000000',
  '#e69f00',
  '#0072b2',
  '#009e73',
  '#cc79a7',
  '#56b4e9',
  '#d55e00',
] as const;

const INK = '#333333';

const text = (at: { x: number; y: number }, words: string, more: object = {}) => ({
  type: 'text',
  encode: {
    enter: {
      ...{ x: { value: at.x }, y: { value: at.y }, text: { value: words } },
      ...{ fill: { value: INK }, fontSize: { value: 11 }, ...more },
    },
  },
});

const axis = (orient: 'left' | 'bottom', { title, format, ticks }: Axis, grid: boolean) => ({
  ...{ orient, grid, title, scale: orient === 'left' ? 'y' : 'x', tickCount: 6 },
  ...{ labelColor: INK, titleColor: INK, domainColor: INK, tickColor: INK, gridColor: '#e5e5e5' },
  ...(format !== undefined && { format }),
  ...(ticks && { values: ticks }),
});

function panel(
  { x, y, width, height }: Place,
  title: string,
  content: { readonly marks: readonly object[] } & Readonly<Record<string, unknown>>,
) {
  const size = { width: { value: width }, height: { value: height } };
  return {
    type: 'group',
    encode: { enter: { x: { value: x }, y: { value: y }, ...size } },
    ...content,
    // For the lines of the grid, which otherwise cross the whole figure.
    signals: Object.entries({ width, height }).map(([name, value]) => ({ name, value })),
    marks: [
      text({ x: 0, y: -14 }, title, { fontSize: { value: 13 }, fontWeight: { value: 'bold' } }),
      ...content.marks,
    ],
  };
}

/** Where all points are to be seen, with a little room. */
function domainOf(points: readonly Ranged[]): [number, number] {
  const values = points.map(({ value }) => value);
  const [lowest, highest] = [Math.min(...values), Math.max(...values)];
  // Intervals of few values reach far: what lies further out than the values themselves spread is cut off.
  const reach = Math.max(highest - lowest, 0.01 * Math.abs(highest), 1e-6);
  const low = Math.min(...points.map((point) => point.low));
  const high = Math.max(...points.map((point) => point.high));
  const ends = [Math.max(low, lowest - reach / 2), Math.min(high, highest + reach / 2)] as const;
  return ends[0] < ends[1] ? [...ends] : [ends[0], ends[0] + reach];
}

/** The part of a curve that need not be seen whole. */
const BEGINNING = 0.2;

/** Lines with bands for the intervals, or, with `dots`, with dots and bars. */
export function linesPanel(
  place: Place,
  title: string,
  series: readonly Series[],
  axes: {
    readonly x: Axis;
    readonly y: Axis;
    readonly dots?: true;
    readonly rules?: readonly Rule[];
  },
) {
  const { rules = [] } = axes;
  const xs = series.flatMap(({ points }) => points.map(({ x }) => x));
  // Curves begin far below where they end, which is what matters.
  const start = axes.dots ? 0 : BEGINNING * Math.max(...xs);
  const seen = series.flatMap(({ points }) => points.filter(({ x }) => x >= start));
  return panel(place, title, {
    data: series.map(({ name, points }) => ({ name, values: points })),
    scales: [
      { name: 'x', type: 'linear', range: [0, place.width], domain: [0, Math.max(...xs)] },
      {
        ...{ name: 'y', type: 'linear', range: [place.height, 0], zero: false, clamp: true },
        ...{ domain: domainOf([...seen, ...rules.map(bare)]), nice: true },
      },
    ],
    axes: [axis('bottom', axes.x, false), axis('left', axes.y, true)],
    marks: [
      ...rules.flatMap((rule, i) => acrossMarks(rule, i, place.width)),
      ...series.flatMap((one) => (axes.dots ? dottedMarks(one) : bandedMarks(one))),
    ],
  });
}

const bare = ({ value }: { readonly value: number }): Ranged => ({
  value,
  low: value,
  high: value,
});

const RULE = { stroke: { value: '#777777' }, strokeDash: { value: [1, 2] } };
const LABEL = { fontSize: { value: 9 }, fill: { value: '#666666' } };

/** A rule from left to right, with its label above it; the labels of close rules lie side by side. */
function acrossMarks({ label, value }: Rule, i: number, width: number): object[] {
  const y = { scale: 'y', value };
  const words = { ...text({ x: 4 + i * LABEL_WIDTH, y: 0 }, label, LABEL) };
  return [
    {
      ...{ type: 'rule', name: `rule-${i}`, description: label },
      encode: { enter: { x: { value: 0 }, x2: { value: width }, y, ...RULE } },
    },
    { ...words, encode: { enter: { ...words.encode.enter, y: { ...y, offset: -3 } } } },
  ];
}

const LABEL_WIDTH = 70;

/** Lines alone, each point with one value; both axes span what the points do. */
export function plainPanel(
  place: Place,
  title: string,
  series: readonly Omit<Series, 'points'>[],
  points: readonly (readonly { readonly x: number; readonly value: number }[])[],
  axes: { readonly x: Axis; readonly y: Axis },
) {
  const scale = (name: 'x' | 'y', range: readonly number[], values: readonly number[]) => {
    const { log } = axes[name];
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const domain = low < high ? [low, high] : log ? [low / 10, low * 10] : [low - 1, low + 1];
    const nice = name === 'y';
    return { name, type: log ? 'log' : 'linear', range, domain, zero: false, nice };
  };
  const all = points.flat();
  return panel(place, title, {
    data: series.map(({ name }, i) => ({ name, values: points[i]! })),
    scales: [
      scale('x', [0, place.width], all.length > 0 ? all.map(({ x }) => x) : [1]),
      scale('y', [place.height, 0], all.length > 0 ? all.map(({ value }) => value) : [1]),
    ],
    axes: [axis('bottom', axes.x, false), axis('left', axes.y, true)],
    marks: series.map((one) => line({ ...one, points: [] })),
  });
}

const at = (field: string) => ({ scale: field === 'x' ? 'x' : 'y', field });

/** What a run knows holds until it knows better; between measured places a straight line leads the eye. */
const STEPS = { interpolate: { value: 'step-after' } };

const line = ({ name, label, colour, dash = [] }: Series, form: object = {}) => ({
  ...{ type: 'line', name: `line-${name}`, from: { data: name }, description: label },
  encode: {
    enter: {
      ...{ x: at('x'), y: at('value'), stroke: { value: colour } },
      ...{ strokeWidth: { value: 2 }, strokeDash: { value: dash }, ...form },
    },
  },
});

const bandedMarks = (series: Series): object[] => [
  {
    ...{ type: 'area', name: `band-${series.name}`, from: { data: series.name } },
    encode: {
      enter: {
        ...{ x: at('x'), y: at('low'), y2: at('high') },
        ...{ fill: { value: series.colour }, fillOpacity: { value: 0.1 } },
        ...STEPS,
      },
    },
  },
  line(series, STEPS),
];

const dottedMarks = (series: Series): object[] => {
  const { name, colour } = series;
  return [
    {
      ...{ type: 'rule', name: `band-${name}`, from: { data: name } },
      encode: {
        enter: { x: at('x'), y: at('low'), y2: at('high'), stroke: { value: colour } },
      },
    },
    line(series),
    {
      ...{ type: 'symbol', name: `dots-${name}`, from: { data: name } },
      encode: {
        enter: { x: at('x'), y: at('value'), fill: { value: colour }, size: { value: 40 } },
      },
    },
  ];
};

export interface Bar extends Ranged {
  readonly name: string;
  readonly label: string;
  readonly colour: string;
}

/** A bar for each row, with its interval. */
export function barsPanel(place: Place, title: string, bars: readonly Bar[], x: Axis) {
  const row = { scale: 'y', field: 'label' };
  return panel(place, title, {
    data: bars.map((bar) => ({ name: bar.name, values: [bar] })),
    scales: [
      {
        ...{ name: 'x', type: 'linear', range: [0, place.width], nice: true },
        domain: [0, Math.max(...bars.map(({ value, high }) => Math.min(high, 2 * value)))],
        clamp: true,
      },
      {
        ...{ name: 'y', type: 'band', range: [0, place.height], padding: 0.25 },
        domain: bars.map(({ label }) => label),
      },
    ],
    axes: [axis('bottom', x, true), axis('left', { title: '' }, false)],
    marks: bars.flatMap(({ name, label, colour }) => [
      {
        ...{ type: 'rect', name: `bar-${name}`, from: { data: name }, description: label },
        encode: {
          enter: {
            ...{ x: { scale: 'x', value: 0 }, x2: { scale: 'x', field: 'value' }, y: row },
            ...{ height: { scale: 'y', band: 1 }, fill: { value: colour } },
            fillOpacity: { value: 0.75 },
          },
        },
      },
      {
        ...{ type: 'rule', from: { data: name } },
        encode: {
          enter: {
            ...{ x: { scale: 'x', field: 'low' }, x2: { scale: 'x', field: 'high' } },
            ...{ y: { ...row, band: 0.5 }, stroke: { value: INK } },
            strokeWidth: { value: 1.5 },
          },
        },
      },
    ]),
  });
}

export interface Row extends Ranged {
  readonly name: string;
  readonly label: string;
  readonly colour: string;
  /** What the value is the mean of. */
  readonly parts: readonly number[];
}

/** A row for each mean, with its interval and what it is the mean of; the axis spans what there is. */
export function rangesPanel(place: Place, title: string, rows: readonly Row[], x: Axis) {
  const seen = rows.flatMap((row) => [row, ...row.parts.map((value) => bare({ value }))]);
  const y = { scale: 'y', field: 'label', band: 0.5 };
  return panel(place, title, {
    data: rows.flatMap(({ parts, ...row }) => [
      { name: row.name, values: [row] },
      { name: `${row.name}-parts`, values: parts.map((value) => ({ value, label: row.label })) },
    ]),
    scales: [
      {
        ...{ name: 'x', type: 'linear', range: [0, place.width], zero: false, clamp: true },
        ...{ domain: domainOf(seen), nice: true },
      },
      {
        ...{ name: 'y', type: 'band', range: [0, place.height], padding: 0.25 },
        domain: rows.map(({ label }) => label),
      },
    ],
    axes: [axis('bottom', x, true), axis('left', { title: '' }, false)],
    marks: rows.flatMap((row) => rangeMarks(row, y)),
  });
}

const rangeMarks = ({ name, colour, label }: Row, y: object): object[] => {
  const x = { scale: 'x', field: 'value' };
  const dot = (from: string, more: object) => ({
    ...{ type: 'symbol', from: { data: from } },
    encode: { enter: { x, y, ...more } },
  });
  return [
    dot(`${name}-parts`, { stroke: { value: colour }, fillOpacity: { value: 0 } }),
    {
      ...{ type: 'rule', from: { data: name } },
      encode: {
        enter: {
          ...{ x: { scale: 'x', field: 'low' }, x2: { scale: 'x', field: 'high' }, y },
          ...{ stroke: { value: colour }, strokeWidth: { value: 2 } },
        },
      },
    },
    {
      ...dot(name, { fill: { value: colour }, size: { value: 60 } }),
      ...{ name: `mean-${name}`, description: label },
    },
  ];
};

const LEGEND_ROW = 18;

/** What the lines of several panels mean, from top to bottom at `x`, `y`. */
export const legend = (series: readonly Omit<Series, 'points'>[], x: number, y: number) =>
  series.flatMap(({ label, colour, dash = [] }, i) => {
    const row = y + i * LEGEND_ROW;
    return [
      {
        type: 'rule',
        encode: {
          enter: {
            ...{ x: { value: x }, x2: { value: x + 24 }, y: { value: row } },
            ...{
              stroke: { value: colour },
              strokeWidth: { value: 2 },
              strokeDash: { value: dash },
            },
          },
        },
      },
      text({ x: x + 30, y: row }, label, { baseline: { value: 'middle' } }),
    ];
  });
