import { Link, useParams } from 'wouter-preact';
import { duration, percent, points, rate } from '../../../format.ts';
import type { DescribedRun, Fronts, StatsAndEvents } from '../../server/answers/runs.ts';
import { useAsk } from '../ask.ts';
import { FunnelChart, HitsChart, ThroughputChart } from '../charts/course.tsx';
import { FitnessChart } from '../charts/fitness.tsx';
import { FrontChart } from '../charts/fronts.tsx';
import { Answer, Empty, Section, Title } from '../components/states.tsx';
import { useInView } from '../in-view.ts';
import { leaderboardLink, rejectionsLink } from '../links.ts';
import { Stats } from './run-stats.tsx';
import { stateOf } from './runs.tsx';

export function RunView() {
  const { run = '' } = useParams<{ run: string }>();
  const asked = useAsk<DescribedRun>(`/api/runs/${encodeURIComponent(run)}`);
  return (
    <>
      <Title>{`Run ${run}`}</Title>
      <Answer asked={asked} what={`run ${run}`}>
        {(described) => <Run described={described} />}
      </Answer>
    </>
  );
}

function Run({ described }: { readonly described: DescribedRun }) {
  const { row, course } = described;
  const { id } = row;
  return (
    <>
      <p class="links">
        <Link href={leaderboardLink(id)}>Layers of this run</Link>
        <Link href={rejectionsLink(id)}>Rejections by reason</Link>
      </p>
      <Head described={described} />
      {row.proposals === 0 ? (
        <Empty>
          <p>
            No proposal is committed yet: a run begins with the known layers, which takes a while.
            This page fills as results arrive.
          </p>
        </Empty>
      ) : (
        <>
          <FitnessChart run={described} />
          <div class="charts">
            <FunnelChart course={course} />
            <HitsChart course={course} />
            <ThroughputChart course={course} />
          </div>
          <FrontsOf run={id} />
          <StatsOf run={id} />
        </>
      )}
    </>
  );
}

const Fact = ({ name, children }: { readonly name: string; readonly children: string }) => (
  <div>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </div>
);

function Head({ described: { row, progress, course, zoo } }: { readonly described: DescribedRun }) {
  const { perSecond, secondsLeft, reached, limits } = progress;
  const hits = [...course.hits.structural, ...course.hits.functional].reduce((a, b) => a + b, 0);
  const known = zoo.flatMap(({ name, fitness }) => (fitness === null ? [] : [{ name, fitness }]));
  const bar = known.reduce<(typeof known)[number] | null>(
    (top, one) => (top === null || one.fitness > top.fitness ? one : top),
    null,
  );
  const best =
    row.best === null
      ? 'none yet'
      : `${percent(row.best)}${bar ? ` (${points(row.best - bar.fitness)} to ${bar.name})` : ''}`;
  return (
    <dl class="facts">
      <Fact name="state">{stateOf(row)}</Fact>
      <Fact name="proposals">{`${row.proposals} of ${limits.proposals ?? row.total}`}</Fact>
      <Fact name="trained to the end">
        {limits.evaluations
          ? `${reached.evaluations} of ${limits.evaluations}`
          : String(reached.evaluations)}
      </Fact>
      <Fact name="cache hits">{String(hits)}</Fact>
      <Fact name="best">{best}</Fact>
      <Fact name="time">
        {limits.seconds
          ? `${duration(reached.seconds)} of ${duration(limits.seconds)}`
          : duration(reached.seconds)}
      </Fact>
      {perSecond && (
        <Fact name="lately">{`${rate(perSecond.proposals)} proposals, ${rate(perSecond.evaluations)} trained`}</Fact>
      )}
      {perSecond && (
        <Fact name="time left">{secondsLeft === null ? '?' : duration(secondsLeft)}</Fact>
      )}
      <Fact name="protocol">{row.protocol}</Fact>
    </dl>
  );
}

function FrontsOf({ run }: { readonly run: number }) {
  const { place, inView } = useInView<HTMLDivElement>();
  const asked = useAsk<Fronts>(`/api/runs/${run}/fronts`, { live: inView });
  return (
    <div ref={place}>
      <Section
        title="Fronts"
        note="Every pair of anchors; layers of the front are beaten by no other one on both."
      >
        <Answer asked={asked} what="the fronts">
          {(fronts) =>
            fronts.length === 0 ? (
              <Empty>
                <p>A front needs scored layers and two anchors at least.</p>
              </Empty>
            ) : (
              <div class="charts">
                {fronts.map((pair) => (
                  <FrontChart key={`${pair.x} ${pair.y}`} run={run} pair={pair} />
                ))}
              </div>
            )
          }
        </Answer>
      </Section>
    </div>
  );
}

function StatsOf({ run }: { readonly run: number }) {
  const { place, inView } = useInView<HTMLDivElement>();
  const asked = useAsk<StatsAndEvents>(`/api/runs/${run}/stats`, { live: inView });
  return (
    <div ref={place}>
      <Answer asked={asked} what="the statistics">
        {({ stats, events }) => <Stats stats={stats} events={events} />}
      </Answer>
    </div>
  );
}
