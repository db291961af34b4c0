import { useMemo } from 'preact/hooks';
import { Link, useSearch } from 'wouter-preact';
import { estimate, percent } from '../../../format.ts';
import { describeFacts } from '../../../reading/facts.ts';
import type { Choices, DescribedLayer, Responses } from '../../server/answers/layers.ts';
import { address, useAsk } from '../ask.ts';
import { Chart } from '../charts/chart.tsx';
import { distinctLine } from '../charts/lines.ts';
import { TrainingCharts } from '../charts/training.tsx';
import { Exports } from '../components/exports.tsx';
import { Formula, LayerLink, Typeset } from '../components/layer.tsx';
import { LayerForm } from '../components/layer-form.tsx';
import { Answer, Empty, Section, Title } from '../components/states.tsx';
import { Table } from '../components/table.tsx';
import { compareLink, runLink, runOf } from '../links.ts';

type Dossier = DescribedLayer['dossier'];

export function LayerView() {
  const layer = new URLSearchParams(useSearch()).get('layer') ?? '';
  const url = layer === '' ? null : address('/api/layer', { layer });
  const asked = useAsk<DescribedLayer>(url);
  const choices = useAsk<Choices>('/api/choices', { live: false });
  if (url === null)
    return (
      <>
        <Title>Layer</Title>
        <LayerForm zoo={choices.data?.zoo ?? []} />
        <Empty>
          <p>Name a layer: its id such as r1-42, a name of the zoo, or a formula.</p>
        </Empty>
      </>
    );
  return (
    <>
      <Title>{`Layer ${layer}`}</Title>
      <Answer asked={asked} what="the layer">
        {(described) => <Layer layer={layer} {...described} />}
      </Answer>
    </>
  );
}

function Layer({ layer, dossier, latex, curves }: DescribedLayer & { readonly layer: string }) {
  const run = runOf(layer);
  return (
    <>
      <p class="links">
        {run !== null && <Link href={runLink(run)}>Run {run}</Link>}
        <Link href={compareLink([layer, 'BN-ReLU'])}>Compare with BN-ReLU</Link>
      </p>
      <Facts dossier={dossier} />
      <Section title="Formula">
        <Typeset latex={latex} label={`Formula: y = γ · (${dossier.formula}) + β`} />
        <p>
          <Formula text={dossier.formula} />
        </p>
      </Section>
      <Section title="Graph">
        <Graph layer={layer} dossier={dossier} />
      </Section>
      <ResponseCurves layer={layer} />
      <Scores dossier={dossier} />
      <Trainings dossier={dossier} curves={curves} />
      <Evaluations dossier={dossier} />
      <Lineage dossier={dossier} />
      {dossier.functionalKey === null ? (
        <Section
          title="Exports"
          note="This layer is not finite or constant, so that there is nothing to export."
        >
          {null}
        </Section>
      ) : (
        <Exports layer={layer} />
      )}
    </>
  );
}

const Facts = ({ dossier }: { readonly dossier: Dossier }) => (
  <dl class="facts">
    {describeFacts(dossier).map(([name, value]) => (
      <div key={name}>
        <dt>{name}</dt>
        <dd>{value}</dd>
      </div>
    ))}
  </dl>
);

const Graph = ({ layer, dossier }: { readonly layer: string; readonly dossier: Dossier }) => (
  <>
    <img
      class="graph"
      src={address('/api/layer/graph.svg', { layer })}
      alt={`The graph of ${dossier.formula}; the tree below tells the same.`}
    />
    <details>
      <summary>The same as a tree</summary>
      <pre>{dossier.tree.join('\n')}</pre>
    </details>
  </>
);

function ResponseCurves({ layer }: { readonly layer: string }) {
  const asked = useAsk<Responses>(address('/api/layer/responses', { layer }), { live: false });
  return (
    <Section
      title="What it does to a signal"
      note="The output for one element of the input, while all others are normal with this mean μ and deviation σ. Untrained: v0 = 0, v1 = γ = 1, β = 0."
    >
      <Answer asked={asked} what="the response curves">
        {(data) => <ResponseChart data={data} />}
      </Answer>
    </Section>
  );
}

function ResponseChart({ data: { inputs, responses } }: { readonly data: Responses }) {
  const lines = useMemo(
    () =>
      responses.map(({ mean, deviation }, i) => distinctLine(`μ = ${mean}, σ = ${deviation}`, i)),
    [responses],
  );
  const data = useMemo(
    () => [inputs, ...responses.map(({ outputs }) => outputs)],
    [inputs, responses],
  );
  const at = (input: number) =>
    responses
      .map(({ mean, deviation, outputs }) => {
        const value = outputs[inputs.indexOf(input)];
        return `${value?.toPrecision(3) ?? 'not finite'} with mean ${mean} and deviation ${deviation}`;
      })
      .join(', ');
  return (
    <Chart
      title="Response curves"
      summary={`At 1 the output is ${at(1)}; at −1 it is ${at(-1)}.`}
      x={{ label: 'input' }}
      y={{ label: 'output', format: (value) => String(Number(value.toPrecision(4))) }}
      lines={lines}
      data={data}
    />
  );
}

function Scores({ dossier: { scores } }: { readonly dossier: Dossier }) {
  if (scores.length === 0)
    return (
      <Section title="Scores" note="No protocol of this database scored what this layer computes.">
        {null}
      </Section>
    );
  return (
    <>
      {scores.map(({ protocol, baselines, ...own }) => {
        const rows = [{ name: 'this layer', ...own }, ...baselines].sort((a, b) => a.rank - b.rank);
        return (
          <Section
            key={protocol}
            title={`Under protocol ${protocol}, of ${own.of} layers`}
            note="± is the 95 % confidence interval over n evaluations."
          >
            <Table
              label={`Scores under protocol ${protocol}`}
              rows={rows}
              keyOf={({ name }) => name}
              columns={[
                { head: '#', cell: ({ rank }) => rank, number: true },
                {
                  head: 'layer',
                  cell: ({ name }) =>
                    name === 'this layer' ? <strong>{name}</strong> : <LayerLink id={name} />,
                },
                {
                  head: 'mean',
                  cell: ({ fitness: f }) => estimate(f.mean, f.interval),
                  number: true,
                },
                ...own.fitness.perAnchor.map(({ anchor }, i) => ({
                  head: anchor,
                  cell: ({ fitness }: (typeof rows)[number]) => {
                    const one = fitness.perAnchor[i];
                    return one && estimate(one.accuracy, one.interval);
                  },
                  number: true as const,
                })),
                { head: 'n', cell: ({ evaluations }) => evaluations, number: true },
              ]}
            />
          </Section>
        );
      })}
    </>
  );
}

function Trainings({ dossier, curves }: Pick<DescribedLayer, 'dossier' | 'curves'>) {
  if (!dossier.evaluations.some(({ perAnchor }) => perAnchor.length > 0)) return null;
  if (curves.length === 0)
    return (
      <Section
        title="Training"
        note="This layer was evaluated before evolayer kept training curves; an evaluation that is added with evolayer evaluate --save has them."
      >
        {null}
      </Section>
    );
  return (
    <>
      {curves.map(({ protocol, anchors }) => (
        <Section
          key={protocol}
          title={`Training under protocol ${protocol}`}
          note="Cross-entropy of the training batches, as means over stretches of steps; of several evaluations the mean, without those of which the database keeps no curve."
        >
          <TrainingCharts anchors={anchors} />
        </Section>
      ))}
    </>
  );
}

function Evaluations({ dossier: { evaluations } }: { readonly dossier: Dossier }) {
  if (evaluations.length === 0) return null;
  return (
    <Section title="Evaluations">
      <Table
        label="Evaluations"
        rows={evaluations}
        keyOf={({ protocol, repeat, at }) => `${protocol} ${repeat} ${at}`}
        columns={[
          { head: 'protocol', cell: ({ protocol }) => <code>{protocol}</code> },
          { head: 'repeat', cell: ({ repeat }) => repeat, number: true },
          { head: 'date (UTC)', cell: ({ at }) => at.slice(0, 16).replace('T', ' ') },
          { head: 'made for', cell: ({ madeFor }) => <LayerLink id={madeFor} /> },
          { head: 'result', cell: ({ description }) => description, wide: true },
          {
            head: 'time, s',
            cell: ({ perAnchor }) => secondsOf(perAnchor),
            number: true,
          },
          ...(evaluations.some(({ perAnchor }) => stabilityOf(perAnchor) !== '')
            ? [{ head: 'greatest gradient', cell: (e: Evaluation) => stabilityOf(e.perAnchor) }]
            : []),
        ]}
      />
    </Section>
  );
}

type Evaluation = Dossier['evaluations'][number];

/** Of the stability tests that it passed. */
const stabilityOf = (perAnchor: Evaluation['perAnchor']): string =>
  perAnchor
    .flatMap(({ anchor, stability }) =>
      stability
        ? `${stability.greatestNorm.toExponential(1)} on ${anchor} after ${stability.greatestAt} steps`
        : [],
    )
    .join(', ');

/** Of a rejected one it is not told. */
const secondsOf = (perAnchor: Evaluation['perAnchor']): string =>
  perAnchor.length === 0 ? '' : perAnchor.reduce((sum, { seconds }) => sum + seconds, 0).toFixed(1);

function Lineage({ dossier: { lineage } }: { readonly dossier: Dossier }) {
  if (lineage.length === 0) return null;
  return (
    <Section
      title="Lineage"
      note="From the first ancestor on; each with what the mutation changed."
    >
      <ol class="lineage">
        {lineage.map(({ id, origin, formula, fitness, changes, changesLayer }) => (
          <li key={id}>
            <p>
              <LayerLink id={id} /> {changes === null ? origin : ''}{' '}
              {fitness === null ? '' : percent(fitness)}
            </p>
            {changes && changes.length > 0 && (
              <ul class="changes">
                {changes.map(({ node, before, after }) => (
                  <li key={node}>
                    <code>
                      #{node}: {before} → {after}
                    </code>
                  </li>
                ))}
              </ul>
            )}
            {changesLayer === false && <p class="note">The layer stays the same.</p>}
            <Formula text={formula} />
          </li>
        ))}
      </ol>
    </Section>
  );
}
