import { isDeepStrictEqual } from 'node:util';
import type { Run } from '../../db/runs.ts';
import type { Store } from '../../db/store.ts';
import { UserError } from '../errors.ts';
import { protocolKey } from '../eval/protocol.ts';
import { isRecord } from '../eval/settings.ts';
import { courseOf, type SearchConfig } from './config.ts';
import { countFunnel } from './progress.ts';
import { conditionMet, describeStop, type Reached, type StopCondition } from './stop.ts';

/** The settings whose values differ, by their paths. */
function* differences(
  a: unknown,
  b: unknown,
  path: readonly string[] = [],
): Generator<{ readonly path: string; readonly values: readonly [unknown, unknown] }> {
  if (isRecord(a) && isRecord(b)) {
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)]))
      yield* differences(a[key], b[key], [...path, key]);
  } else if (!isDeepStrictEqual(a, b)) yield { path: path.join('.'), values: [a, b] };
}

const show = (value: unknown): string => (value === undefined ? 'not set' : JSON.stringify(value));

/** Throws a UserError with the differences unless `config` takes the course that the run has taken so far. */
export function checkCourse(run: Run, config: SearchConfig): void {
  const found = [...differences(courseOf(run.config as SearchConfig), courseOf(config))];
  if (found.length > 0) {
    const list = found.map(
      ({ path, values: [before, now] }) =>
        `${path}: ${show(before)} in run ${run.id}, ${show(now)} now`,
    );
    throw new UserError(
      `Run ${run.id} cannot go on with another configuration (${list.join('; ')}); leave these settings out, or begin a new run with \`evolayer search\`.`,
    );
  }
  if (protocolKey(config.protocol) !== run.protocolKey)
    throw new UserError(
      `Run ${run.id} was scored by an evolayer that trains in another way, so its scores would not compare; go on with the version that it was begun with.`,
    );
}

/** What goes on behind a limit. */
const EXTENSIONS: Readonly<Record<StopCondition, (limit: number) => string>> = {
  proposals: (n) => `--proposals ${2 * n}`,
  evaluations: (n) => `--evaluations ${2 * n}`,
  seconds: (n) => `--time ${2 * n}s`,
  fitness: () => 'a higher --target',
  patience: (n) => `--patience ${2 * n}`,
};

/** Throws a UserError where the run has nothing to do before it stops. */
export function checkUnfinished(run: Run, { stop }: SearchConfig, store: Store): void {
  const { proposals, evaluated } = countFunnel(store.candidates.funnel(run.id));
  const best = store.candidates.best(run.id);
  const reached: Reached = {
    proposals,
    evaluations: evaluated,
    best: best && { index: best.index, genome: best.genome, fitness: best.fitness as number },
  };
  const outOfTime = stop.seconds !== undefined && run.seconds >= stop.seconds;
  const met = conditionMet(stop, reached) ?? (outOfTime ? 'seconds' : null);
  if (met === null) return;
  // More than was asked for may be there already.
  const had = { proposals, evaluations: evaluated, seconds: Math.floor(run.seconds) };
  const limit = Math.max(stop[met] as number, met in had ? had[met as keyof typeof had] : 0);
  throw new UserError(
    `Run ${run.id} is finished (${describeStop(met, { ...stop, [met]: limit })}); to go on it needs more, such as ${EXTENSIONS[met](limit)}.`,
  );
}
