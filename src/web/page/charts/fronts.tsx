import { useMemo } from 'preact/hooks';
import { useLocation } from 'wouter-preact';
import type { Fronts } from '../../server/answers/runs.ts';
import { layerLink } from '../links.ts';
import { Chart, type Line } from './chart.tsx';

type Pair = Fronts[number];

const LINES: readonly Line[] = [
  { label: 'a layer of the run', colour: 'blue', kind: 'points', size: 3 },
  { label: 'front', colour: 'vermillion', kind: 'points', size: 7 },
  { label: 'front, as a line', colour: 'vermillion', width: 1, listed: false },
  { label: 'a known layer', colour: 'ink', kind: 'points', size: 6 },
];

const short = (share: number) => `${Number((100 * share).toFixed(2))} %`;

/** All layers of a run by two anchors. A row of the data is one layer, in one of the columns. */
export function FrontChart({ run, pair }: { readonly run: number; readonly pair: Pair }) {
  const [, go] = useLocation();
  const rows = useMemo(() => {
    const { points, front, zoo } = pair;
    const all = points.indices.map((index, i) => ({
      ...{ id: `r${run}-${index}`, x: points.x[i]!, y: points.y[i]!, column: 0 },
    }));
    return [
      ...all,
      ...front.map((one) => ({ ...one, column: 1 })),
      ...zoo.map((one) => ({ ...one, column: 3 })),
    ].sort((a, b) => a.x - b.x);
  }, [run, pair]);
  const data = useMemo(
    () => [
      rows.map(({ x }) => x),
      ...[0, 1, 2, 3].map((column) =>
        rows.map((row) =>
          row.column === column || (column === 2 && row.column === 1) ? row.y : null,
        ),
      ),
    ],
    [rows],
  );
  return (
    <Chart
      title={`${pair.y} over ${pair.x}`}
      summary={`${pair.front.length} layers are on the front: ${pair.front
        .slice(0, 20)
        .map(({ id, x, y }) => `${id} (${short(x)}, ${short(y)})`)
        .join(', ')}.`}
      x={{ label: `accuracy on ${pair.x}`, format: short, roomy: true }}
      y={{ label: `on ${pair.y}`, format: short }}
      lines={LINES}
      data={data}
      height={300}
      onPick={(index) => {
        const row = rows[index];
        if (row) go(layerLink(row.id));
      }}
    />
  );
}
