import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { useLocation } from 'wouter-preact';
import { percent } from '../../../format.ts';
import type { DescribedRun, FitnessColumns } from '../../server/answers/runs.ts';
import { ask } from '../ask.ts';
import { Failure, Loading } from '../components/states.tsx';
import { layerLink } from '../links.ts';
import { Chart, type Line } from './chart.tsx';

/** The fitness of every proposal, of which new ones are added as they come. */
function useFitness(run: number, proposals: number) {
  const [columns, set] = useState<{
    run: number;
    indices: number[];
    fitness: number[];
    last: number;
  } | null>(null);
  const [error, fail] = useState<string | null>(null);
  const known = useRef(columns);
  known.current = columns;
  useEffect(() => {
    const before = known.current?.run === run ? known.current : null;
    if (before && before.last >= proposals - 1) return;
    const controller = new AbortController();
    const url = `/api/runs/${run}/fitness?after=${before?.last ?? -1}`;
    ask<FitnessColumns>(url, controller.signal)
      .then(({ indices, fitness, last }) => {
        fail(null);
        set({
          run,
          indices: [...(before?.indices ?? []), ...indices],
          fitness: [...(before?.fitness ?? []), ...fitness],
          last,
        });
      })
      .catch((error: unknown) => {
        if (!controller.signal.aborted)
          fail(error instanceof Error ? error.message : String(error));
      });
    return () => controller.abort();
  }, [run, proposals]);
  return { columns: columns?.run === run ? columns : null, error };
}

const LINES: readonly Line[] = [
  { label: 'a proposal', colour: 'blue', kind: 'points', size: 2 },
  { label: 'best so far', colour: 'vermillion', kind: 'step', width: 2 },
];

export function FitnessChart({ run }: { readonly run: DescribedRun }) {
  const { id, proposals } = run.row;
  const { columns, error } = useFitness(id, proposals);
  const [, go] = useLocation();
  const data = useMemo(() => {
    if (!columns) return null;
    let best = Number.NEGATIVE_INFINITY;
    const bests = columns.fitness.map((value) => {
      best = Math.max(best, value);
      return best;
    });
    return [columns.indices, columns.fitness, bests];
  }, [columns]);
  if (error !== null) return <Failure message={error} />;
  if (!columns || !data) return <Loading what="the fitness of all proposals" />;
  const best = data[2]!.at(-1);
  const levels = run.zoo.flatMap(({ name, fitness }) =>
    fitness === null ? [] : [{ label: name, value: fitness }],
  );
  return (
    <Chart
      title="Mean accuracy of every proposal"
      summary={`${columns.indices.length} proposals have a fitness; the best is ${best === undefined ? 'none yet' : percent(best)}. Dashed lines are known layers.`}
      x={{ label: 'proposal' }}
      y={{ label: 'mean accuracy', format: short }}
      lines={LINES}
      data={data}
      levels={levels}
      height={340}
      onPick={(index) => go(layerLink(`r${id}-${columns.indices[index]}`))}
    />
  );
}

const short = (share: number) => `${Number((100 * share).toFixed(2))} %`;
