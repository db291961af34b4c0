import { Link } from 'wouter-preact';
import { duration, percent } from '../../../format.ts';
import type { RunRow, Runs } from '../../server/answers/runs.ts';
import { useAsk } from '../ask.ts';
import { Answer, Empty, Title } from '../components/states.tsx';
import { Table, type TableColumn } from '../components/table.tsx';
import { leaderboardLink, runLink } from '../links.ts';

export function RunsView() {
  const asked = useAsk<Runs>('/api/runs');
  return (
    <>
      <Title>Runs</Title>
      <Answer asked={asked} what="the runs">
        {({ db, runs }) => (
          <>
            <p class="note">{db}</p>
            {runs.length === 0 ? <NoRuns db={db} /> : <RunTable runs={runs} />}
          </>
        )}
      </Answer>
    </>
  );
}

export const NoRuns = ({ db }: { readonly db: string }) => (
  <Empty>
    <p>This database has no runs yet. A search fills it, and shows up here:</p>
    <pre>evolayer search --db {db}</pre>
  </Empty>
);

const time = (iso: string) => iso.slice(0, 16).replace('T', ' ');

export const stateOf = ({ state, reason }: Pick<RunRow, 'state' | 'reason'>) =>
  reason ? `${state}: ${reason}` : state;

const COLUMNS: readonly TableColumn<RunRow>[] = [
  { head: 'run', cell: ({ id }) => <Link href={runLink(id)}>run {id}</Link> },
  { head: 'started (UTC)', cell: ({ started }) => time(started) },
  {
    head: 'state',
    cell: (run) => <span class={`run-state ${run.state}`}>{stateOf(run)}</span>,
  },
  { head: 'proposals', cell: (r) => `${r.proposals} of ${r.total}`, number: true },
  { head: 'scored', cell: ({ evaluated }) => evaluated, number: true },
  { head: 'best', cell: ({ best }) => (best === null ? '' : percent(best)), number: true },
  { head: 'time', cell: ({ seconds }) => duration(seconds), number: true },
  { head: 'sessions', cell: ({ sessions }) => sessions, number: true },
  { head: 'algorithm', cell: ({ algorithm }) => algorithm },
  { head: 'seed', cell: ({ seed }) => seed, number: true },
  { head: 'protocol', cell: ({ protocol }) => <code>{protocol}</code> },
  { head: 'layers', cell: ({ id }) => <Link href={leaderboardLink(id)}>of run {id}</Link> },
];

const RunTable = ({ runs }: { readonly runs: readonly RunRow[] }) => (
  <Table label="Runs" columns={COLUMNS} rows={[...runs].reverse()} keyOf={({ id }) => id} />
);
