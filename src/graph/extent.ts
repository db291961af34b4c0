/**
 * The extent of a value: the axes it varies over. `b` is the batch, `s` space (height and width
 * together), `c` the channels, `g` the groups of channels (coarser than `c`).
 */
export type Extent = `${'b' | ''}${'s' | ''}${'c' | 'g' | ''}`;

export const FULL: Extent = 'bsc';
export const CHANNEL: Extent = 'c';
export const SCALAR: Extent = '';

/** The index sets a moment may range over; `whc/g` is width, height and the channels of one group. */
export const INDEX_SETS = ['bwh', 'whc', 'wh', 'whc/g'] as const;
export type IndexSet = (typeof INDEX_SETS)[number];

const make = (b: boolean, s: boolean, channel: 'c' | 'g' | ''): Extent =>
  `${b ? 'b' : ''}${s ? 's' : ''}${channel}`;

/** Every extent. */
export const EXTENTS: readonly Extent[] = [false, true].flatMap((b) =>
  [false, true].flatMap((s) => (['', 'g', 'c'] as const).map((channel) => make(b, s, channel))),
);

/** A value for every extent. */
export const byExtent = <T>(value: (extent: Extent) => T): Readonly<Record<Extent, T>> =>
  Object.fromEntries(EXTENTS.map((extent) => [extent, value(extent)])) as Record<Extent, T>;

export const hasBatch = (e: Extent): boolean => e.includes('b');
export const hasSpace = (e: Extent): boolean => e.includes('s');

/** `c` where the value varies by channel, `g` where only by group, '' where by neither. */
export const channelAxis = (e: Extent): 'c' | 'g' | '' =>
  e.includes('c') ? 'c' : e.includes('g') ? 'g' : '';

const UNIONS = byExtent((a) =>
  byExtent((b) => {
    const channels = [channelAxis(a), channelAxis(b)];
    const channel = channels.includes('c') ? 'c' : channels.includes('g') ? 'g' : '';
    return make(hasBatch(a) || hasBatch(b), hasSpace(a) || hasSpace(b), channel);
  }),
);

/** The extent of an element-wise operation on values of extents `a` and `b`. */
export const union = (a: Extent, b: Extent): Extent => UNIONS[a][b];

/** The extent that is left of `a` after a moment over `index`. */
export const reduce = (a: Extent, index: IndexSet): Extent => REDUCED[index][a];

function reduced(a: Extent, index: IndexSet): Extent {
  const channel = channelAxis(a);
  switch (index) {
    case 'bwh':
      return make(false, false, channel);
    case 'wh':
      return make(hasBatch(a), false, channel);
    case 'whc':
      return make(hasBatch(a), false, '');
    case 'whc/g':
      return make(hasBatch(a), false, channel === '' ? '' : 'g');
  }
}

const REDUCED = Object.fromEntries(
  INDEX_SETS.map((index) => [index, byExtent((a) => reduced(a, index))]),
) as Record<IndexSet, Readonly<Record<Extent, Extent>>>;

/** The sizes behind the axes. `groups` divides `channels`. */
export interface LayerShape {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly groups: number;
}

/** Number of elements of a value of extent `e`. */
export function sizeOf(e: Extent, shape: LayerShape): number {
  const channel = channelAxis(e);
  return (
    (hasBatch(e) ? shape.batch : 1) *
    (hasSpace(e) ? shape.height * shape.width : 1) *
    (channel === 'c' ? shape.channels : channel === 'g' ? shape.groups : 1)
  );
}

/** The groups that a layer on `channels` channels uses: the largest divisor of `channels` that is ≤ `groups`. */
export function effectiveGroups(channels: number, groups: number): number {
  for (let g = Math.min(groups, channels); g > 1; g--) if (channels % g === 0) return g;
  return 1;
}
