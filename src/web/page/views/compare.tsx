import { useEffect, useState } from 'preact/hooks';
import { useLocation, useSearch } from 'wouter-preact';
import { estimate, points } from '../../../format.ts';
import type { Choices, Comparison } from '../../server/answers/layers.ts';
import { address, useAsk } from '../ask.ts';
import { TrainingCharts } from '../charts/training.tsx';
import { Formula, LayerLink, Typeset } from '../components/layer.tsx';
import { ZooNames } from '../components/layer-form.tsx';
import { Answer, Empty, Section, Title } from '../components/states.tsx';
import { Table } from '../components/table.tsx';
import { compareLink } from '../links.ts';

type Compared = Comparison['comparison'];
type Pair = Compared['pairs'][number];

const MOST = 4;

export function CompareView() {
  const layers = new URLSearchParams(useSearch()).getAll('layer').slice(0, MOST);
  const url = layers.length < 2 ? null : address('/api/compare', { layer: layers });
  const asked = useAsk<Comparison>(url);
  const choices = useAsk<Choices>('/api/choices', { live: false });
  return (
    <>
      <Title>{layers.length < 2 ? 'Compare' : `Compare ${layers.join(', ')}`}</Title>
      <Chooser layers={layers} zoo={choices.data?.zoo ?? []} />
      {url === null ? (
        <Empty>
          <p>
            Name two to four layers: ids such as r1-42, names of the zoo, or formulas. On the
            leaderboard they can be ticked.
          </p>
        </Empty>
      ) : (
        <Answer asked={asked} what="the comparison">
          {(compared) => <Sides layers={layers} {...compared} />}
        </Answer>
      )}
    </>
  );
}

function Chooser({
  layers,
  zoo,
}: {
  readonly layers: readonly string[];
  readonly zoo: readonly string[];
}) {
  const [texts, set] = useState(layers);
  const [, go] = useLocation();
  const named = layers.join('\n');
  useEffect(() => set(layers), [named]);
  return (
    <form
      class="filters"
      aria-label="Layers to compare"
      onSubmit={(event) => {
        event.preventDefault();
        go(compareLink(texts.map((text) => text.trim()).filter((text) => text !== '')));
      }}
    >
      {Array.from({ length: MOST }, (_, i) => (
        <label class="field" key={String(i)}>
          <span>layer {i + 1}</span>
          <input
            value={texts[i] ?? ''}
            list="zoo"
            maxLength={4000}
            onInput={({ currentTarget }) => {
              const { value } = currentTarget;
              set(Array.from({ length: MOST }, (_, k) => (k === i ? value : (texts[k] ?? ''))));
            }}
          />
        </label>
      ))}
      <ZooNames zoo={zoo} />
      <button type="submit">Compare</button>
    </form>
  );
}

function Sides({
  layers,
  comparison,
  latex,
  curves,
}: Comparison & { readonly layers: readonly string[] }) {
  const { protocol, noise, pairs } = comparison;
  return (
    <>
      <p class="note">{describeProtocol(protocol, noise)}</p>
      <Scores layers={layers} comparison={comparison} />
      <div class="sides">
        {comparison.layers.map(({ layer, formula }, i) => (
          <section key={`${i} ${layer}`}>
            <h2>{layer}</h2>
            <Typeset latex={latex[i]!} label={`Formula of ${layer}`} />
            <img
              class="graph"
              src={address('/api/layer/graph.svg', {
                layer: layers[i],
                unlike: layers[i === 0 ? 1 : 0],
              })}
              alt={`The graph of ${formula}. Nodes that ${i === 0 ? layers[1] : layers[0]} does not have have a thick outline; they are listed below.`}
            />
          </section>
        ))}
      </div>
      {curves.length > 0 && (
        <Section
          title="Training"
          note="Cross-entropy of the training batches, as means over stretches of steps; of several evaluations the mean."
        >
          <TrainingCharts anchors={curves} />
        </Section>
      )}
      {pairs.map((pair, i) => (
        <PairSection key={String(i)} pair={pair} />
      ))}
    </>
  );
}

function describeProtocol(protocol: Compared['protocol'], noise: Compared['noise']): string {
  if (protocol === null) return 'No protocol scored any of them.';
  if (noise === null)
    return `Protocol ${protocol}; nothing was evaluated twice, so that its noise is not known.`;
  return `Protocol ${protocol}; one evaluation is off by ${(100 * noise.deviation).toFixed(2)} points (standard deviation, from ${noise.functions} layers). ± is the 95 % confidence interval over n evaluations.`;
}

function Scores({
  layers,
  comparison,
}: {
  readonly layers: readonly string[];
  readonly comparison: Compared;
}) {
  const rows = comparison.layers.map((one, i) => ({ ...one, given: layers[i]!, key: i }));
  const anchors = rows.find(({ score }) => score)?.score?.fitness.perAnchor ?? [];
  type Row = (typeof rows)[number];
  return (
    <Table
      label="Scores"
      rows={rows}
      keyOf={({ key }) => key}
      columns={[
        { head: 'layer', cell: ({ layer, given }) => <LayerLink id={layer} layer={given} /> },
        { head: '#', cell: ({ score }) => score?.rank ?? '', number: true },
        {
          head: 'mean',
          cell: ({ score }) =>
            score ? estimate(score.fitness.mean, score.fitness.interval) : 'not scored',
          number: true,
        },
        ...anchors.map(({ anchor }, i) => ({
          head: anchor,
          cell: ({ score }: Row) => {
            const one = score?.fitness.perAnchor[i];
            return one && estimate(one.accuracy, one.interval);
          },
          number: true as const,
        })),
        { head: 'n', cell: ({ score }) => score?.evaluations ?? '', number: true },
        { head: 'nodes', cell: ({ liveNodes }) => liveNodes, number: true },
        { head: 'B/S', cell: ({ batchIndependent }) => (batchIndependent ? 'S' : 'B') },
        { head: 'formula', cell: ({ formula }) => <Formula text={formula} />, wide: true },
      ]}
    />
  );
}

function PairSection({ pair }: { readonly pair: Pair }) {
  const { first, second, scores, sharedNodes, onlyFirst, onlySecond, sameGraph } = pair;
  return (
    <Section title={`${second} against ${first}`} note={verdict(pair)}>
      {!sameGraph && (
        <div class="sides">
          <NodeList title={`Only in ${first}`} nodes={onlyFirst} shared={sharedNodes} />
          <NodeList title={`Only in ${second}`} nodes={onlySecond} shared={sharedNodes} />
        </div>
      )}
      {scores && (
        <Table
          label={`Differences, ${second} less ${first}`}
          rows={[{ anchor: 'mean', ...scores.mean }, ...scores.perAnchor]}
          keyOf={({ anchor }) => anchor}
          columns={[
            { head: 'on', cell: ({ anchor }) => anchor },
            { head: 'difference', cell: ({ difference }) => points(difference), number: true },
            {
              head: '95 %',
              cell: ({ interval }) =>
                interval === null
                  ? 'not known: one of them was evaluated once'
                  : `${points(interval[0])} to ${points(interval[1])}`,
            },
            {
              head: 'p (Welch)',
              cell: ({ p }) => (p === null ? '' : p.toPrecision(2)),
              number: true,
            },
          ]}
        />
      )}
    </Section>
  );
}

function verdict({ sameFunction, sameGraph }: Pair): string {
  if (sameGraph) return 'The same graph.';
  return sameFunction
    ? 'They compute the same, in different graphs.'
    : 'They compute different things.';
}

const NodeList = ({
  title,
  nodes,
  shared,
}: {
  readonly title: string;
  readonly nodes: readonly string[];
  readonly shared: number;
}) => (
  <div>
    <h3>{title}</h3>
    <p class="note">{shared} nodes in common.</p>
    {nodes.length === 0 ? (
      <p>nothing</p>
    ) : (
      <ul>
        {nodes.map((node) => (
          <li key={node}>
            <code>{node}</code>
          </li>
        ))}
      </ul>
    )}
  </div>
);
