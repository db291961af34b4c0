import type { Scored } from '../../db/stats.ts';
import type { Store } from '../../db/store.ts';
import { printable } from '../format.ts';
import { candidateId } from '../search/ids.ts';

/** A layer by its accuracies on two anchors. */
export interface NamedPoint {
  /** An id, or the name of a known layer. */
  readonly id: string;
  readonly x: number;
  readonly y: number;
}

/** The layers of a run by two of its anchors. */
export interface PairFront {
  /** The anchors. */
  readonly x: string;
  readonly y: string;
  /** Layers that no other one of the run beats on both, from the lowest x to the highest. */
  readonly front: readonly NamedPoint[];
  /** The known layers of the run. */
  readonly zoo: readonly NamedPoint[];
  /** All layers, as columns; of those that no chart could tell apart only the first. */
  readonly points: {
    readonly indices: readonly number[];
    readonly x: readonly number[];
    readonly y: readonly number[];
  };
}

/** A chart tells so many places apart, in each direction. */
const PLACES = 400;

/** The fronts of every pair of a run's anchors. */
export function frontsOf(store: Store, run: number): PairFront[] {
  const { anchors, functions: scored } = store.stats.scored(run);
  const zoo = store.stats.baselines(run);
  return pairsOf(anchors.length).map(([a, b]) => {
    const at = ({ accuracies }: Scored) => [accuracies[a]!, accuracies[b]!] as const;
    return {
      ...{ x: printable(anchors[a]!), y: printable(anchors[b]!) },
      front: frontOf(scored, at).map((one) =>
        pointOf(candidateId({ run, index: one.index }), at(one)),
      ),
      zoo: zoo
        .filter(({ perAnchor }) => perAnchor.length === anchors.length)
        .map(({ name, perAnchor }) =>
          pointOf(printable(name), [perAnchor[a]!.accuracy, perAnchor[b]!.accuracy]),
        ),
      points: thinned(scored, at),
    };
  });
}

const pointOf = (id: string, [x, y]: readonly [number, number]): NamedPoint => ({ id, x, y });

const pairsOf = (count: number): [number, number][] =>
  Array.from({ length: count }, (_, a) => a).flatMap((a) =>
    Array.from({ length: count - a - 1 }, (_, i): [number, number] => [a, a + 1 + i]),
  );

type At = (one: Scored) => readonly [x: number, y: number];

/** By descending x the front is what is higher than all before; of equal ones the first that was found stands for all. */
function frontOf(scored: readonly Scored[], at: At): Scored[] {
  const order = scored
    .map((one) => ({ one, x: at(one)[0], y: at(one)[1] }))
    .sort((a, b) => b.x - a.x || b.y - a.y || a.one.index - b.one.index);
  const front: Scored[] = [];
  let top = Number.NEGATIVE_INFINITY;
  for (const { one, y } of order) {
    if (y <= top) continue;
    top = y;
    front.unshift(one);
  }
  return front;
}

function thinned(scored: readonly Scored[], at: At): PairFront['points'] {
  const [indices, xs, ys]: [number[], number[], number[]] = [[], [], []];
  const cell = cellsOf(scored, at);
  const seen = new Set<number>();
  for (const one of scored) {
    const [x, y] = at(one);
    const place = cell(x, y);
    if (seen.has(place)) continue;
    seen.add(place);
    indices.push(one.index);
    xs.push(x);
    ys.push(y);
  }
  return { indices, x: xs, y: ys };
}

function cellsOf(scored: readonly Scored[], at: At): (x: number, y: number) => number {
  const low = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  const high = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const one of scored)
    for (const [i, value] of at(one).entries()) {
      low[i] = Math.min(low[i]!, value);
      high[i] = Math.max(high[i]!, value);
    }
  const place = (value: number, i: number) =>
    Math.floor(((value - low[i]!) / (high[i]! - low[i]! || 1)) * PLACES);
  return (x, y) => place(x, 0) * (PLACES + 1) + place(y, 1);
}
