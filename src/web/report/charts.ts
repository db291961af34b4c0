import { OUTCOME_NAMES, type OutcomeName } from '../../eval/outcome.ts';
import type { Course, FitnessColumns } from '../../reading/course.ts';
import type { PairFront } from '../../reading/fronts.ts';
import { svgOf } from '../../svg-of.ts';

/* Charts of a report: on white, for print. */

const SIZE = { width: 720, height: 300 };
const PLOT = { x: 70, y: 14, width: 630, height: 230 };
const INK = '#333333';

/** Okabe and Ito's, and three greys and browns beside them. */
const COLOURS: Readonly<Record<OutcomeName, string>> = {
  'not-finite': '#000000',
  constant: '#8a8f94',
  'batch-dependent': '#7a5230',
  'low-quality': '#e69f00',
  diverged: '#d55e00',
  unstable: '#cc79a7',
  timeout: '#f0e442',
  crashed: '#56b4e9',
  evaluated: '#009e73',
};
const [BLUE, ORANGE, GREEN, RED] = ['#0072b2', '#e69f00', '#009e73', '#d55e00'];

interface Axis {
  readonly title: string;
  readonly domain: readonly [number, number];
  /** d3-format. */
  readonly format?: string;
}

const value = (of: unknown) => ({ value: of });

function chart(
  x: Axis,
  y: Axis,
  marks: readonly object[],
  data: readonly object[],
): Promise<string> {
  const axis = (orient: string, { title, format }: Axis) => ({
    ...{ orient, title, scale: orient === 'left' ? 'y' : 'x', tickCount: 7 },
    ...{ labelColor: INK, titleColor: INK, domainColor: INK, tickColor: INK, gridColor: '#e5e5e5' },
    ...(format !== undefined && { format }),
    grid: true,
  });
  const { width, height } = PLOT;
  return svgOf(SIZE, [
    {
      type: 'group',
      encode: {
        enter: {
          ...{ x: value(PLOT.x), y: value(PLOT.y) },
          ...{ width: value(width), height: value(height) },
        },
      },
      signals: Object.entries({ width, height }).map(([name, value]) => ({ name, value })),
      data,
      scales: [
        { name: 'x', type: 'linear', range: [0, width], domain: x.domain, zero: false },
        { name: 'y', type: 'linear', range: [height, 0], domain: y.domain, zero: false },
      ],
      axes: [axis('bottom', x), axis('left', y)],
      marks,
    },
  ]);
}

const at = (scale: string, field: string) => ({ scale, field });

const line = (data: string, colour: string, form: object = {}) => ({
  ...{ type: 'line', from: { data } },
  encode: {
    enter: {
      x: at('x', 'x'),
      y: at('y', 'y'),
      stroke: value(colour),
      strokeWidth: value(2),
      ...form,
    },
  },
});

const rows = (xs: readonly number[], ys: readonly (number | null)[]) =>
  xs.flatMap((x, i) => (ys[i] === null || ys[i] === undefined ? [] : [{ x, y: ys[i] }]));

/** Ten thousand points as one path of round dots, which takes a hundredth of what as many marks do. */
function dots(
  xs: readonly number[],
  ys: readonly number[],
  { x, y }: { readonly x: Axis; readonly y: Axis },
  [colour, size]: readonly [string, number],
) {
  const place = (value: number, [low, high]: readonly [number, number], length: number) =>
    Number((((value - low) / (high - low)) * length).toFixed(1));
  const path = xs
    .map((one, i) => {
      const across = place(one, x.domain, PLOT.width);
      return `M${across},${PLOT.height - place(ys[i]!, y.domain, PLOT.height)}h0`;
    })
    .join('');
  return {
    type: 'path',
    encode: {
      enter: {
        ...{ path: value(path), stroke: value(colour), strokeWidth: value(size) },
        strokeCap: value('round'),
      },
    },
  };
}

function domainOf(values: readonly number[], room = 0.03): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const one of values) [low, high] = [Math.min(low, one), Math.max(high, one)];
  if (!(low <= high)) return [0, 1];
  const reach = (high - low || Math.abs(high) || 1) * room;
  return [low - reach, high + reach];
}

export interface Level {
  readonly name: string;
  readonly value: number;
}

function levelMarks(levels: readonly Level[]): object[] {
  return levels.flatMap(({ name, value: level }, i) => {
    const y = { scale: 'y', value: level };
    const style = { stroke: value('#777777'), strokeDash: value([3, 3]) };
    const words = { text: value(name), fontSize: value(9), fill: value('#555555') };
    return [
      { type: 'rule', encode: { enter: { x: value(0), x2: value(PLOT.width), y, ...style } } },
      {
        type: 'text',
        encode: {
          enter: {
            x: value(PLOT.width - 4 - 90 * (i % 6)),
            y: { ...y, offset: -3 },
            align: value('right'),
            ...words,
          },
        },
      },
    ];
  });
}

/** Every proposal and the best so far, with known layers as lines. */
export function fitnessChart(
  { indices, fitness, last }: FitnessColumns,
  levels: readonly Level[],
): Promise<string> {
  const x: Axis = { title: 'proposal', domain: [0, Math.max(1, last)] };
  const values = [...fitness, ...levels.map((level) => level.value)];
  const y: Axis = { title: 'mean accuracy', domain: domainOf(values), format: '.0%' };
  let best = Number.NEGATIVE_INFINITY;
  const steps = indices.flatMap((index, i) => {
    if (fitness[i]! <= best) return [];
    best = fitness[i]!;
    return [{ x: index, y: best }];
  });
  if (steps.length > 0) steps.push({ x: last, y: best });
  const stepped = { interpolate: value('step-after') };
  return chart(
    x,
    y,
    [
      dots(indices, fitness, { x, y }, [BLUE!, 2]),
      ...levelMarks(levels),
      line('best', RED!, stepped),
    ],
    [{ name: 'best', values: steps }],
  );
}

const sizesOf = ({ proposals }: Course) =>
  proposals.map((count, i) => count - (proposals[i - 1] ?? 0));

const along = ({ proposals }: Course): Axis => ({
  ...{ title: 'proposal', domain: [proposals[0] ?? 0, Math.max(1, proposals.at(-1) ?? 1)] },
});

/** Those that any proposal ended in, with the colour of each. */
export const funnelKey = ({ outcomes }: Course) =>
  OUTCOME_NAMES.filter((name) => outcomes[name].some((count) => count > 0)).map((name) => ({
    ...{ name, colour: COLOURS[name] },
  }));

export function funnelChart(course: Course): Promise<string> {
  const sizes = sizesOf(course);
  let below = sizes.map(() => 0);
  const layers = [...funnelKey(course)].reverse().map(({ name, colour }) => {
    const above = below.map((sum, i) => sum + course.outcomes[name][i]! / sizes[i]!);
    const values = course.proposals.map((x, i) => ({ x, y: above[i]!, y2: below[i]! }));
    below = above;
    return { name, colour, values };
  });
  const marks = layers.map(({ name, colour }) => ({
    ...{ type: 'area', from: { data: name } },
    encode: {
      enter: { x: at('x', 'x'), y: at('y', 'y'), y2: at('y', 'y2'), fill: value(colour) },
    },
  }));
  const y: Axis = { title: 'share of proposals, stacked', domain: [0, 1], format: '.0%' };
  return chart(
    along(course),
    y,
    marks,
    layers.map(({ name, values }) => ({ name, values })),
  );
}

/** Solid by structural key, dashed by functional key. */
export function hitsChart(course: Course): Promise<string> {
  const sizes = sizesOf(course);
  const shares = (counts: readonly number[]) => counts.map((count, i) => count / sizes[i]!);
  const [structural, functional] = [shares(course.hits.structural), shares(course.hits.functional)];
  const high = Math.max(0.01, ...structural, ...functional);
  return chart(
    along(course),
    { title: 'share of proposals', domain: [0, 1.05 * high], format: '.0%' },
    [line('structural', BLUE!), line('functional', ORANGE!, { strokeDash: value([6, 3]) })],
    [
      { name: 'structural', values: rows(course.proposals, structural) },
      { name: 'functional', values: rows(course.proposals, functional) },
    ],
  );
}

/** Null where the time was not noted. */
export function throughputChart(course: Course): Promise<string> | null {
  const known = course.perSecond.filter((rate) => rate !== null);
  if (known.length === 0) return null;
  const perMinute = course.perSecond.map((rate) => (rate === null ? null : 60 * rate));
  return chart(
    along(course),
    { title: 'proposals per minute', domain: [0, 63 * Math.max(...known)] },
    [line('rate', GREEN!)],
    [{ name: 'rate', values: rows(course.proposals, perMinute) }],
  );
}

/** All layers in blue, the front in red, known layers in black. */
export function frontChart({ x: across, y: up, points, front, zoo }: PairFront): Promise<string> {
  const xs = [...points.x, ...zoo.map(({ x }) => x)];
  const ys = [...points.y, ...zoo.map(({ y }) => y)];
  const x: Axis = { title: `accuracy on ${across}`, domain: domainOf(xs), format: '.1%' };
  const y: Axis = { title: `on ${up}`, domain: domainOf(ys), format: '.1%' };
  const of = (layers: typeof front, look: readonly [string, number]) =>
    dots(
      layers.map((one) => one.x),
      layers.map((one) => one.y),
      { x, y },
      look,
    );
  return chart(
    x,
    y,
    [
      dots(points.x, points.y, { x, y }, [BLUE!, 2.5]),
      line('front', RED!, { strokeWidth: value(1) }),
      of(front, [RED!, 7]),
      of(zoo, ['#000000', 6]),
    ],
    [{ name: 'front', values: front.map((one) => ({ x: one.x, y: one.y })) }],
  );
}
