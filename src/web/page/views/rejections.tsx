import { useState } from 'preact/hooks';
import { Link, useParams } from 'wouter-preact';
import { percent } from '../../../format.ts';
import type { Reasons, RejectedLayers, StatsAndEvents } from '../../server/answers/runs.ts';
import { address, ask, useAsk } from '../ask.ts';
import { Formula, LayerLink } from '../components/layer.tsx';
import { Answer, Empty, Failure, Section, Title } from '../components/states.tsx';
import { Table, type TableColumn } from '../components/table.tsx';
import { runLink } from '../links.ts';

type Reason = Reasons['reasons'][number];

/** What each test asks for, for those who do not know them. */
const MEANINGS: Readonly<Record<Reason['outcome'], string>> = {
  'not-finite': 'Values or gradients of the layer itself overflow.',
  constant: 'The output does not depend on the input.',
  'batch-dependent': 'The run wants layers that do not depend on the batch.',
  'low-quality': 'It learnt too little in the first steps.',
  diverged: 'The loss stopped being a number.',
  unstable: 'The gradient grew too large while the weights ascended along it.',
  timeout: 'The time for one evaluation was over.',
  crashed: 'The worker died, more than once.',
  evaluated: '',
};

export function RejectionsView() {
  const { run = '' } = useParams<{ run: string }>();
  const asked = useAsk<Reasons>(`/api/runs/${encodeURIComponent(run)}/rejections`);
  return (
    <>
      <Title>{`Rejections of run ${run}`}</Title>
      <p class="links">
        <Link href={runLink(Number(run))}>Run {run}</Link>
      </p>
      <Answer asked={asked} what="the rejections">
        {({ reasons, proposals }) =>
          reasons.length === 0 ? (
            <Empty>
              <p>
                {proposals === 0
                  ? 'No proposal is committed yet; this page fills as results arrive.'
                  : 'No proposal was rejected.'}
              </p>
            </Empty>
          ) : (
            <>
              {reasons.map((reason) => (
                <ReasonSection key={reason.outcome} run={Number(run)} reason={reason} />
              ))}
              <Audits run={Number(run)} />
            </>
          )
        }
      </Answer>
    </>
  );
}

const COLUMNS: readonly TableColumn<RejectedLayers[number]>[] = [
  { head: 'layer', cell: ({ id }) => <LayerLink id={id} /> },
  { head: 'why', cell: ({ description }) => description, wide: true },
  { head: 'formula', cell: ({ formula }) => <Formula text={formula} />, wide: true },
];

const MORE = 20;

function ReasonSection({ run, reason }: { readonly run: number; readonly reason: Reason }) {
  const { outcome, count, share, examples } = reason;
  const [older, add] = useState<RejectedLayers>([]);
  const [error, fail] = useState<string | null>(null);
  const seen = new Set(older.map(({ id }) => id));
  const rows = [...examples.filter(({ id }) => !seen.has(id)), ...older];
  const load = async () => {
    const before = rows.at(-1)?.id.split('-')[1] ?? 0;
    try {
      const query = { outcome, before, count: MORE };
      add([...rows, ...(await ask<RejectedLayers>(address(`/api/runs/${run}/rejected`, query)))]);
      fail(null);
    } catch (error) {
      fail(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <Section
      title={`${outcome}: ${count}, ${percent(share)} of the proposals`}
      note={MEANINGS[outcome]}
    >
      <Table
        label={`Rejected as ${outcome}`}
        columns={COLUMNS}
        rows={rows}
        keyOf={({ id }) => id}
      />
      {error !== null && <Failure message={error} />}
      {rows.length < count && (
        <button type="button" onClick={() => void load()}>
          Older ones
        </button>
      )}
    </Section>
  );
}

type Counts = StatsAndEvents['stats']['rejections']['both'];

function Audits({ run }: { readonly run: number }) {
  const asked = useAsk<StatsAndEvents>(`/api/runs/${run}/stats`);
  return (
    <Answer asked={asked} what="the audits">
      {({ stats: { rejections } }) => <AuditTable rejections={rejections} />}
    </Answer>
  );
}

function AuditTable({
  rejections,
}: {
  readonly rejections: StatsAndEvents['stats']['rejections'];
}) {
  const { tests, both, decile, trained } = rejections;
  if (both.audits === 0)
    return (
      <Section
        title="Audits"
        note={`None of ${both.rejected} rejections by early tests was trained to the end all the same.`}
      >
        {null}
      </Section>
    );
  const rows: readonly (readonly [string, Counts])[] = [
    ['quality', tests['low-quality']],
    ['stability', tests.unstable],
    ['both', both],
  ];
  return (
    <Section
      title={`Audits: ${both.audits} of ${both.rejected} trained to the end all the same`}
      note={
        decile === null
          ? 'The run trained nothing to the end that these could be compared with.'
          : `The top decile of the ${trained} proposals that the run trained to the end begins at ${percent(decile)}. The range is the 95 % confidence interval of the share.`
      }
    >
      <Table
        label="Audits of rejections"
        rows={rows}
        keyOf={([name]) => name}
        columns={[
          { head: 'rejected by', cell: ([name]) => name },
          { head: 'rejections', cell: ([, { rejected }]) => rejected, number: true },
          { head: 'audits', cell: ([, { audits }]) => audits, number: true },
          { head: 'top decile', cell: ([, { top }]) => top, number: true },
          { head: 'below', cell: ([, { below }]) => below, number: true },
          { head: 'diverged', cell: ([, { diverged }]) => diverged, number: true },
          { head: 'open', cell: ([, { open }]) => open, number: true },
          {
            head: 'share',
            cell: ([, { rate }]) => (rate === null ? '?' : percent(rate)),
            number: true,
          },
          {
            head: 'range',
            cell: ([, { interval }]) =>
              interval === null ? '?' : `${percent(interval[0])} to ${percent(interval[1])}`,
          },
        ]}
      />
    </Section>
  );
}
