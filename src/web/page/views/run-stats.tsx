import { OUTCOME_NAMES } from '../../../eval/outcome.ts';
import { duration, percent, points, rate } from '../../../format.ts';
import type { StatsAndEvents } from '../../server/answers/runs.ts';
import { Formula, LayerLink } from '../components/layer.tsx';
import { Section } from '../components/states.tsx';
import { Table } from '../components/table.tsx';

type Stats = StatsAndEvents['stats'];

const time = (iso: string | null) => (iso === null ? '' : iso.slice(0, 19).replace('T', ' '));
const share = (part: number, whole: number) => (whole > 0 ? percent(part / whole) : '');
const times = (value: number | null) => (value === null ? '?' : `${value.toFixed(2)} times`);

/** How a run went, in the words and numbers of `evolayer stats`. */
export const Stats = ({ stats, events }: StatsAndEvents) => (
  <>
    <Funnel stats={stats} />
    <Cache stats={stats} />
    <Known stats={stats} />
    <Front stats={stats} />
    <Sessions stats={stats} />
    <Events events={events} />
  </>
);

function Funnel({ stats: { outcomes, proposals, trained } }: { readonly stats: Stats }) {
  const rows = [
    ...OUTCOME_NAMES.filter((name) => outcomes[name] > 0).map((name) => ({
      name: name as string,
      count: outcomes[name],
    })),
    { name: 'trained to the end', count: trained },
  ];
  return (
    <Section title={`Funnel of ${proposals} proposals`}>
      <Table
        label="Funnel"
        rows={rows}
        keyOf={({ name }) => name}
        columns={[
          { head: 'outcome', cell: ({ name }) => name },
          { head: 'proposals', cell: ({ count }) => count, number: true },
          { head: 'share', cell: ({ count }) => share(count, proposals), number: true },
        ]}
      />
    </Section>
  );
}

const TIERS = ['structural', 'functional'] as const;

function Cache({ stats: { hashing, proposals, work } }: { readonly stats: Stats }) {
  const { functions, hits, hitRate } = hashing;
  const taken =
    hitRate === null ? '' : `; ${percent(hitRate)} of them took over a score or a rejection`;
  return (
    <Section
      title="Cache"
      note={`${functions} of ${proposals} proposals compute a function${taken}. Hits spared ${duration(hashing.spared)} of evaluations beside the ${duration(hashing.paid)} that were paid for: the cache made the run ${times(hashing.speedUp)} as fast. Workers spent ${duration(work.evaluating)} in evaluations.`}
    >
      <Table
        label="Cache hits"
        rows={TIERS}
        keyOf={(tier) => tier}
        columns={[
          { head: 'recognised by', cell: (tier) => `${tier} key` },
          { head: 'hits', cell: (tier) => hits[tier].full, number: true },
          { head: 'share', cell: (tier) => share(hits[tier].full, functions), number: true },
          { head: 'evaluated once more', cell: (tier) => hits[tier].partial, number: true },
        ]}
      />
    </Section>
  );
}

function Known({ stats: { baselines, improvements } }: { readonly stats: Stats }) {
  if (baselines.length === 0) return null;
  const best = improvements.at(-1)?.fitness;
  return (
    <Section title="Known layers">
      <Table
        label="Known layers"
        rows={baselines}
        keyOf={({ name }) => name}
        columns={[
          { head: 'layer', cell: ({ name }) => <LayerLink id={name} /> },
          {
            head: 'mean',
            cell: (b) => (b.fitness === null ? b.outcome : percent(b.fitness)),
            number: true,
          },
          {
            head: 'the best is better by',
            cell: (b) => (b.fitness === null || best === undefined ? '' : points(best - b.fitness)),
            number: true,
          },
        ]}
      />
    </Section>
  );
}

function Front({ stats: { front } }: { readonly stats: Stats }) {
  if (front.length === 0) return null;
  const anchors = front[0]!.perAnchor.map(({ anchor }) => anchor);
  return (
    <Section title={`Front: ${front.length} layers that no other dominates on all anchors`}>
      <Table
        label="Front"
        rows={front}
        keyOf={({ id }) => id}
        columns={[
          { head: 'layer', cell: ({ id }) => <LayerLink id={id} /> },
          { head: 'mean', cell: ({ fitness }) => percent(fitness), number: true },
          ...anchors.map((anchor, i) => ({
            head: anchor,
            cell: ({ perAnchor }: (typeof front)[number]) => percent(perAnchor[i]!.accuracy),
            number: true as const,
          })),
          { head: 'formula', cell: ({ formula }) => <Formula text={formula} />, wide: true },
        ]}
      />
    </Section>
  );
}

function Sessions({ stats: { sessions } }: { readonly stats: Stats }) {
  if (sessions.length === 0) return null;
  return (
    <Section title="Sessions">
      <Table
        label="Sessions"
        rows={sessions}
        keyOf={({ number }) => number}
        columns={[
          { head: '#', cell: ({ number }) => number, number: true },
          { head: 'started (UTC)', cell: ({ started }) => time(started) },
          { head: 'state', cell: ({ state, reason }) => (reason ? `${state}: ${reason}` : state) },
          { head: 'time', cell: ({ seconds }) => duration(seconds), number: true },
          { head: 'workers', cell: ({ workers }) => workers, number: true },
          { head: 'proposals', cell: ({ proposals }) => proposals, number: true },
          { head: 'proposals per time', cell: (s) => rate(s.proposalsPerSecond), number: true },
          { head: 'evaluations', cell: ({ evaluations }) => evaluations, number: true },
          { head: 'evaluations per time', cell: (s) => rate(s.evaluationsPerSecond), number: true },
        ]}
      />
    </Section>
  );
}

const SHOWN = 200;

function Events({ events }: Pick<StatsAndEvents, 'events'>) {
  const rows = events.slice(0, SHOWN).map((event, key) => ({ ...event, key }));
  const note = events.length > SHOWN ? `The last ${SHOWN} of ${events.length}.` : undefined;
  return (
    <Section title="Log" {...(note !== undefined && { note })}>
      <Table
        label="Log"
        rows={rows}
        keyOf={({ key }) => key}
        columns={[
          { head: 'at (UTC)', cell: ({ at }) => time(at) },
          { head: 'what', cell: ({ kind }) => kind },
          { head: 'layer', cell: ({ layer }) => layer && <LayerLink id={layer} /> },
          { head: 'in words', cell: ({ text }) => text, wide: true },
        ]}
      />
    </Section>
  );
}
