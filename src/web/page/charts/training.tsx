import { useMemo } from 'preact/hooks';
import { stretchOf } from '../../../eval/curve.ts';
import type { AnchorCurves } from '../../server/answers/layers.ts';
import { Chart } from './chart.tsx';
import { distinctLine } from './lines.ts';

const digits = (loss: number) => String(Number(loss.toPrecision(3)));

const told = (loss: number | null | undefined) =>
  typeof loss === 'number' ? digits(loss) : 'not finite';

/** Losses of several layers in the training on one anchor, each in the middle of its stretch of steps. */
export function TrainingChart({ of: { anchor, steps, curves } }: { readonly of: AnchorCurves }) {
  const lines = useMemo(
    () => curves.map(({ layer, evaluations }, i) => distinctLine(labelOf(layer, evaluations), i)),
    [curves],
  );
  const data = useMemo(() => {
    const points = curves[0]?.losses.length ?? 0;
    const middles = Array.from({ length: points }, (_, i) => {
      const [start, end] = stretchOf(i, points, steps);
      return (start + end) / 2;
    });
    return [middles, ...curves.map(({ losses }) => losses)];
  }, [curves, steps]);
  const summary = curves.map(
    ({ layer, losses }) => `${layer} from ${told(losses[0])} to ${told(losses.at(-1))}`,
  );
  return (
    <Chart
      title={`Training on ${anchor}`}
      summary={`The loss over ${steps} steps: ${summary.join(', ')}.`}
      x={{ label: 'step', format: (step) => String(Math.round(step)) }}
      y={{ label: 'training loss', format: digits }}
      lines={lines}
      data={data}
    />
  );
}

const labelOf = (layer: string, evaluations: number): string =>
  evaluations === 1 ? layer : `${layer} (mean of ${evaluations})`;

/** One chart for each anchor. */
export const TrainingCharts = ({ anchors }: { readonly anchors: readonly AnchorCurves[] }) => (
  <div class="charts">
    {anchors.map((one) => (
      <TrainingChart key={one.anchor} of={one} />
    ))}
  </div>
);
