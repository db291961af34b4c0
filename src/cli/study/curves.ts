import { legend, linesPanel, type Place, type Ranged, type Rule, type Series } from './chart.ts';
import type { CurvePoint, Estimate } from './summary.ts';

export const ranged = ({ mean, interval }: Estimate): Ranged => ({
  value: mean,
  low: interval?.[0] ?? mean,
  high: interval?.[1] ?? mean,
});

interface Curve {
  readonly arm: string;
  readonly curve: readonly CurvePoint[];
}

/** The best that the arms knew against their training, with a legend; nothing where no arm has a curve. */
export function curvesPanel(
  place: Place,
  arms: readonly Curve[],
  styles: readonly Pick<Series, 'colour' | 'dash'>[],
  seeds: number,
  rules: readonly Rule[] = [],
): object[] {
  const series = arms.map(
    ({ arm, curve }, i): Series => ({
      ...{ name: arm, label: arm, ...styles[i]! },
      points: curve.map((point) => ({ x: point.work, ...ranged(point) })),
    }),
  );
  const drawn = series.filter(({ points }) => points.length > 0);
  if (drawn.length === 0) return [];
  const bands = seeds > 1 ? `, mean of ${seeds} runs and 95 % interval` : '';
  const { x, y, width, height } = place;
  return [
    linesPanel(place, `Best fitness so far${bands}`, drawn, {
      ...{ x: { title: 'training, in full evaluations' }, rules },
      y: { title: 'best mean accuracy known to the run', format: '.1%' },
    }),
    ...legend(drawn, x + width - 140, y + height - 18 * drawn.length),
  ];
}
