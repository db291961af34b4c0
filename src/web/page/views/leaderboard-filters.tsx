import type { ComponentChildren } from 'preact';
import { useLocation } from 'wouter-preact';
import type { Choices } from '../../server/answers/layers.ts';
import { address } from '../ask.ts';

/** What the address of a leaderboard says; by the names of the command's flags. */
export interface LeaderboardFilters {
  readonly run?: string;
  readonly protocol?: string;
  readonly anchor?: readonly string[];
  readonly sort?: string;
  readonly top?: string;
  readonly pareto?: string;
  readonly batchIndependent?: string;
  readonly minEvaluations?: string;
  readonly since?: string;
  /** Columns that are not shown. */
  readonly hide: readonly string[];
}

const NAMES = [
  ...['run', 'protocol', 'sort', 'top', 'pareto', 'batchIndependent', 'minEvaluations', 'since'],
] as const;

export function filtersOf(search: string): LeaderboardFilters {
  const parameters = new URLSearchParams(search);
  const single = NAMES.flatMap((name) => {
    const value = parameters.get(name);
    return value ? [[name, value]] : [];
  });
  const anchor = parameters.getAll('anchor');
  return {
    ...Object.fromEntries(single),
    ...(anchor.length > 0 && { anchor }),
    hide: parameters.getAll('hide'),
  };
}

/** Changes some filters, as an address of its own to go back from. */
export function useFilters(filters: LeaderboardFilters) {
  const [, go] = useLocation();
  return (changes: Readonly<Record<string, string | readonly string[] | undefined>>) =>
    go(address('/leaderboard', { ...filters, ...changes }));
}

export const COLUMNS = ['anchors', 'n', 'nodes', 'B/S', 'origin', 'confirmed', 'formula'] as const;

interface Props {
  readonly choices: Choices;
  readonly anchors: readonly string[];
  readonly protocol: string | null;
  readonly filters: LeaderboardFilters;
}

const Field = ({
  label,
  children,
}: {
  readonly label: string;
  readonly children: ComponentChildren;
}) => (
  // biome-ignore lint/a11y/noLabelWithoutControl: the control is the child
  <label class="field">
    <span>{label}</span>
    {children}
  </label>
);

export function Filters({ choices, anchors, protocol, filters }: Props) {
  const change = useFilters(filters);
  const text = (name: 'top' | 'minEvaluations' | 'since', rest: object) => (
    <input
      {...rest}
      value={filters[name] ?? ''}
      onChange={({ currentTarget }) => change({ [name]: currentTarget.value || undefined })}
    />
  );
  const tick = (name: 'pareto' | 'batchIndependent', label: string) => (
    <label class="tick">
      <input
        type="checkbox"
        checked={filters[name] === 'true'}
        onChange={({ currentTarget }) =>
          change({ [name]: currentTarget.checked ? 'true' : undefined })
        }
      />
      {label}
    </label>
  );
  return (
    <form class="filters" aria-label="Filters" onSubmit={(event) => event.preventDefault()}>
      <Field label="protocol">
        <select
          value={filters.protocol ?? protocol ?? ''}
          onChange={({ currentTarget }) => {
            const other = { protocol: currentTarget.value, run: undefined };
            change({ ...other, anchor: undefined, sort: undefined });
          }}
        >
          {choices.protocols.map(({ key, scored }) => (
            <option key={key} value={key}>
              {key} ({scored} scored)
            </option>
          ))}
        </select>
      </Field>
      <Field label="run">
        <select
          value={filters.run ?? ''}
          onChange={({ currentTarget }) => {
            const run = currentTarget.value || undefined;
            change({
              run,
              protocol:
                choices.runs.find(({ id }) => String(id) === run)?.protocol ?? filters.protocol,
            });
          }}
        >
          <option value="">all</option>
          {choices.runs.map(({ id }) => (
            <option key={id} value={String(id)}>
              run {id}
            </option>
          ))}
        </select>
      </Field>
      <Field label="sort by">
        <select
          value={filters.sort ?? 'fitness'}
          onChange={({ currentTarget }) => change({ sort: currentTarget.value })}
        >
          {['fitness', 'evaluations', 'nodes', 'age', ...anchors].map((key) => (
            <option key={key}>{key}</option>
          ))}
        </select>
      </Field>
      <Field label="the best (all)">
        {text('top', { type: 'number', min: 1, placeholder: 'all' })}
      </Field>
      <Field label="evaluations, at least">
        {text('minEvaluations', { type: 'number', min: 1, placeholder: '1' })}
      </Field>
      <Field label="scored since (UTC)">{text('since', { type: 'date' })}</Field>
      {tick('pareto', 'the front alone')}
      {tick('batchIndependent', 'S alone (does not depend on the batch)')}
      <Several
        legend="anchors that count"
        names={anchors}
        on={(name) => !filters.anchor || filters.anchor.includes(name)}
        set={(names) => change({ anchor: names.length === anchors.length ? undefined : names })}
      />
      <Several
        legend="columns"
        names={COLUMNS}
        on={(name) => !filters.hide.includes(name)}
        set={(names) => change({ hide: COLUMNS.filter((name) => !names.includes(name)) })}
      />
    </form>
  );
}

/** Some of several; the last one cannot be taken away. */
function Several({
  legend,
  names,
  on,
  set,
}: {
  readonly legend: string;
  readonly names: readonly string[];
  readonly on: (name: string) => boolean;
  readonly set: (names: readonly string[]) => void;
}) {
  const chosen = names.filter(on);
  return (
    <details class="several">
      <summary>{legend}</summary>
      <fieldset>
        <legend class="hidden">{legend}</legend>
        {names.map((name) => (
          <label key={name} class="tick">
            <input
              type="checkbox"
              checked={on(name)}
              disabled={chosen.length === 1 && on(name)}
              onChange={({ currentTarget }) =>
                set(names.filter((one) => (one === name ? currentTarget.checked : on(one))))
              }
            />
            {name}
          </label>
        ))}
      </fieldset>
    </details>
  );
}
