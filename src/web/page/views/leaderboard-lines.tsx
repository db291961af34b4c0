import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { useSearch } from 'wouter-preact';
import { estimate } from '../../../format.ts';
import type { Entry, Leaderboard } from '../../server/answers/layers.ts';
import { ask } from '../ask.ts';
import { Formula, LayerLink } from '../components/layer.tsx';
import { Failure } from '../components/states.tsx';
import { useWindow } from '../window.ts';
import { filtersOf, useFilters } from './leaderboard-filters.tsx';

const PAGE = 100;
const HEIGHT = 34;
/** Browsers draw nothing that is higher than this many lines. */
const MOST_LINES = 500_000;

/** The lines around those that are looked at, asked for as the table is scrolled. */
function useLines(
  board: Leaderboard,
  url: (from: number, count: number) => string,
  seen: readonly number[],
) {
  const pages = useRef(new Map<number, readonly Entry[]>());
  const source = useRef('');
  const [, draw] = useState(0);
  const [error, fail] = useState<string | null>(null);
  const key = url(0, PAGE);
  if (source.current !== key) pages.current = new Map();
  source.current = key;
  pages.current.set(0, board.entries);
  const version = useRef(board);
  // What was committed may have moved every line.
  if (version.current !== board) pages.current = new Map([[0, board.entries]]);
  version.current = board;
  const wanted = [...new Set(seen.map((line) => Math.floor(line / PAGE)))];
  const missing = wanted.filter((page) => !pages.current.has(page)).join(' ');
  useEffect(() => {
    if (missing === '') return;
    const controller = new AbortController();
    for (const page of missing.split(' ').map(Number))
      ask<Leaderboard>(url(page * PAGE, PAGE), controller.signal)
        .then(({ entries }) => {
          pages.current.set(page, entries);
          fail(null);
          draw((n) => n + 1);
        })
        .catch((error: unknown) => {
          if (!controller.signal.aborted)
            fail(error instanceof Error ? error.message : String(error));
        });
    return () => controller.abort();
  }, [missing, key, board]);
  const lineAt = (line: number): Entry | undefined =>
    pages.current.get(Math.floor(line / PAGE))?.[line % PAGE];
  return { lineAt, error };
}

interface Column {
  readonly head: string;
  /** In rem. */
  readonly width: number;
  readonly sort?: string;
  readonly number?: true;
  readonly cell: (entry: Entry) => ComponentChildren;
}

const NUMBER = 10;

function columnsOf({ entries, anchors }: Leaderboard, hidden: readonly string[]): Column[] {
  const counted = entries[0]?.fitness.perAnchor.map(({ anchor }) => anchor) ?? anchors;
  const all: (Column & { readonly group?: string })[] = [
    { head: '#', width: 5, number: true, cell: ({ rank }) => rank },
    {
      ...{ head: 'layer', width: 13 },
      cell: ({ id, name }) => (
        <>
          <LayerLink id={id} /> {name !== null && name !== id ? `(${name})` : ''}
        </>
      ),
    },
    {
      ...{ head: 'mean', width: NUMBER, number: true, sort: 'fitness' },
      cell: ({ fitness: f }) => estimate(f.mean, f.interval),
    },
    ...counted.map((anchor, i) => ({
      ...{ head: anchor, width: NUMBER, number: true as const, sort: anchor, group: 'anchors' },
      cell: ({ fitness }: Entry) => {
        const score = fitness.perAnchor[i];
        return score && estimate(score.accuracy, score.interval);
      },
    })),
    { head: 'n', width: 4, number: true, sort: 'evaluations', cell: (e) => e.evaluations },
    { head: 'nodes', width: 6, number: true, sort: 'nodes', cell: ({ nodes }) => nodes },
    { head: 'B/S', width: 4, cell: (e) => (e.batchIndependent ? 'S' : 'B') },
    { head: 'origin', width: 6.5, cell: ({ origin }) => origin },
    { head: 'confirmed', width: 7, cell: ({ confirmed }) => (confirmed ? 'yes' : '') },
    { head: 'formula', width: 45, cell: ({ formula }) => <Formula text={formula} /> },
  ];
  return all.filter(({ head, group = head }) => !hidden.includes(group));
}

interface Props {
  readonly board: Leaderboard;
  readonly url: (from: number, count: number) => string;
  readonly hidden: readonly string[];
  readonly chosen: readonly string[];
  readonly choose: (id: string, on: boolean) => void;
}

/** A table of which only the lines in the window are there; empty rows stand for those above and below. */
export function Lines({ board, url, hidden, chosen, choose }: Props) {
  const [element, setElement] = useState<HTMLElement | null>(null);
  const count = Math.min(board.lines, MOST_LINES);
  const { items, total } = useWindow(element, count, HEIGHT);
  const { lineAt, error } = useLines(
    board,
    url,
    items.map(({ index }) => index),
  );
  const columns = columnsOf(board, hidden);
  const above = items[0]?.start ?? 0;
  const below = total - (items.at(-1)?.end ?? 0);
  return (
    <>
      {error !== null && <Failure message={error} />}
      <section
        class="lines"
        ref={setElement}
        aria-label="Layers, scrolling"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
        tabIndex={0}
      >
        <table aria-rowcount={count + 1} style={{ width: `${3 + widthOf(columns)}rem` }}>
          <caption class="hidden">Leaderboard</caption>
          <colgroup>
            <col style={{ width: '3rem' }} />
            {columns.map(({ head, width }) => (
              <col key={head} style={{ width: `${width}rem` }} />
            ))}
          </colgroup>
          <Heads columns={columns} />
          <tbody>
            <Gap height={above} columns={columns.length + 1} />
            {items.map(({ index }) => (
              <LineRow
                key={index}
                index={index}
                entry={lineAt(index)}
                columns={columns}
                chosen={chosen}
                choose={choose}
              />
            ))}
            <Gap height={below} columns={columns.length + 1} />
          </tbody>
        </table>
      </section>
      {board.lines > count && (
        <p class="note">The first {count} lines; filters lead to the others.</p>
      )}
    </>
  );
}

const widthOf = (columns: readonly Column[]) => columns.reduce((sum, { width }) => sum + width, 0);

const Gap = ({ height, columns }: { readonly height: number; readonly columns: number }) =>
  height <= 0 ? null : (
    <tr class="gap">
      <td colSpan={columns} style={{ height: `${height}px` }} />
    </tr>
  );

/** What a column is sorted by now: the fewest nodes come first, of all else the most. */
function Heads({ columns }: { readonly columns: readonly Column[] }) {
  const filters = filtersOf(useSearch());
  const change = useFilters(filters);
  const sorted = filters.sort ?? 'fitness';
  const up = sorted === 'nodes';
  return (
    <thead>
      <tr aria-rowindex={1}>
        <th scope="col">
          <span class="hidden">compare</span>
        </th>
        {columns.map(({ head, number, sort }) => {
          const isSorted = sort !== undefined && sort === sorted;
          return (
            <th
              key={head}
              scope="col"
              class={number ? 'number' : undefined}
              aria-sort={isSorted ? (up ? 'ascending' : 'descending') : undefined}
            >
              {sort === undefined ? (
                head
              ) : (
                <button type="button" onClick={() => change({ sort })}>
                  {head}
                  {isSorted ? (up ? ' ▲' : ' ▼') : ''}
                </button>
              )}
            </th>
          );
        })}
      </tr>
    </thead>
  );
}

interface LineProps extends Pick<Props, 'chosen' | 'choose'> {
  readonly index: number;
  readonly entry: Entry | undefined;
  readonly columns: readonly Column[];
}

const LineRow = ({ index, entry, columns, chosen, choose }: LineProps) => (
  <tr aria-rowindex={index + 2}>
    {entry ? (
      <>
        <td>
          <input
            type="checkbox"
            aria-label={`Compare ${entry.id}`}
            checked={chosen.includes(entry.id)}
            onChange={({ currentTarget }) => choose(entry.id, currentTarget.checked)}
          />
        </td>
        {columns.map(({ head, number, cell }) => (
          <td key={head} class={number ? 'number' : undefined}>
            {cell(entry)}
          </td>
        ))}
      </>
    ) : (
      <td colSpan={columns.length + 1}>…</td>
    )}
  </tr>
);
