import type { Fault } from '../../db/faults.ts';
import type { BaselineResult, Scored, ScoredRun } from '../../db/stats.ts';
import type { Store } from '../../db/store.ts';
import { layerOf } from '../graph/genome.ts';
import { formatLayer } from '../graph/text.ts';
import type { SearchConfig } from '../search/config.ts';
import { ParetoFront } from '../search/front.ts';
import { candidateId } from '../search/ids.ts';
import { countFunnel, type FunnelCounts } from '../search/progress.ts';
import { type AuditStats, auditsOf, type HashingStats, hashingOf } from './hashing.ts';
import { type RejectionStats, rejectionsOf } from './rejections.ts';
import type { RunState } from './states.ts';

/** One time that somebody worked on the run. */
export interface SessionStats {
  readonly number: number;
  readonly started: string;
  readonly ended: string | null;
  readonly state: RunState['state'];
  readonly reason: string | null;
  readonly seconds: number;
  readonly workers: number;
  /** Those that it committed, counted up to its last evaluation. */
  readonly proposals: number;
  /** That ran in it, to the end or up to a rejection. */
  readonly evaluations: number;
  readonly proposalsPerSecond: number;
  readonly evaluationsPerSecond: number;
}

export interface NamedScore {
  readonly id: string;
  readonly formula: string;
  readonly fitness: number;
}

/** A proposal that was better than all before it. */
export interface Improvement extends NamedScore {
  /** When it was committed, to the last evaluation before it; null where there was none. */
  readonly at: string | null;
}

export interface FrontLayer extends NamedScore {
  readonly perAnchor: readonly { readonly anchor: string; readonly accuracy: number }[];
}

/** How a run went: what `evolayer stats --json` prints. */
export interface RunStats extends Pick<FunnelCounts, 'proposals' | 'outcomes' | 'cacheHits'> {
  readonly run: number;
  readonly db: string;
  readonly state: RunState['state'];
  readonly reason: string | null;
  readonly started: string;
  readonly seconds: number;
  readonly protocol: string;
  readonly stop: SearchConfig['stop'];
  /** Proposals that were trained to the end. */
  readonly trained: number;
  /** Workers' seconds: in evaluations, in audits, and all that there were, which is null for runs of old versions. */
  readonly work: {
    readonly evaluating: number;
    readonly auditing: number;
    readonly available: number | null;
  };
  readonly hashing: HashingStats;
  /** Null where no hit was audited. */
  readonly audits: AuditStats | null;
  readonly rejections: RejectionStats;
  readonly sessions: readonly SessionStats[];
  readonly baselines: readonly Omit<BaselineResult, 'index'>[];
  readonly improvements: readonly Improvement[];
  readonly front: readonly FrontLayer[];
  readonly faults: readonly Fault[];
}

export function statsOf(store: Store, { run, sessions, state, reason }: RunState): RunStats {
  const funnel = store.candidates.funnel(run.id);
  const { proposals, outcomes, cacheHits, evaluated } = countFunnel(funnel);
  const paid = funnel.reduce((sum, { trained }) => sum + trained, 0);
  const evaluations = paid + store.stats.paidByBaselines(run.id);
  const evaluating = store.stats.seconds(run.id);
  const scored = store.stats.scored(run.id);
  const available = sessions.reduce((sum, { seconds, workers }) => sum + seconds * workers, 0);
  const { started, seconds, protocolKey: protocol } = run;
  const baselines = store.stats.baselines(run.id);
  const candidates = proposals + baselines.length;
  const audits = auditsOf(store, run);
  const rejections = rejectionsOf(store, run.id);
  return {
    ...{ run: run.id, db: store.path, state, reason, started, seconds, protocol },
    stop: (run.config as SearchConfig).stop,
    ...{ proposals, outcomes, cacheHits, trained: evaluated },
    work: {
      evaluating,
      auditing: (audits?.seconds ?? 0) + rejections.seconds,
      available: sessions.length > 0 ? available : null,
    },
    hashing: hashingOf(
      store,
      { run, sessions },
      { funnel, candidates, evaluations, seconds: evaluating },
    ),
    audits,
    rejections,
    sessions: sessionStats(store, { run, sessions, state, reason }, evaluations),
    baselines: baselines.map(({ index: _, ...baseline }) => baseline),
    improvements: improvementsOf(store, run.id, scored.functions),
    front: frontOf(store, run.id, scored),
    faults: store.faults.ofRun(run.id),
  };
}

function sessionStats(store: Store, { run, sessions, state }: RunState, evaluations: number) {
  /** The last candidate whose evaluation was committed before a moment; null where there is none. */
  const lastBefore = (moment: string): number | null => {
    let [low, high] = [-store.stats.baselines(run.id).length, run.proposals];
    const at = (index: number) => store.course.committed(run.id, index)?.at ?? '';
    while (low < high) {
      const middle = (low + high) >> 1;
      if (at(middle) < moment) low = middle + 1;
      else high = middle;
    }
    return store.course.committed(run.id, low - 1)?.index ?? null;
  };
  const upTo = (index: number | null) => ({
    proposals: Math.max(0, (index ?? -1) + 1),
    evaluations: index === null ? 0 : store.stats.paidUpTo(run.id, index),
  });
  const whole = { proposals: run.proposals, evaluations };
  return sessions.map((session, i): SessionStats => {
    const { number, started, ended, seconds, workers, stopped, detail } = session;
    const next = sessions[i + 1]?.started;
    const from = upTo(lastBefore(started));
    const to = next === undefined ? whole : upTo(lastBefore(next));
    const counts = {
      proposals: to.proposals - from.proposals,
      evaluations: to.evaluations - from.evaluations,
    };
    const perSecond = (count: number) => (seconds > 0 ? count / seconds : 0);
    return {
      ...{ number, started, ended, seconds, workers, reason: detail, ...counts },
      state: stopped ?? (next === undefined ? state : 'killed'),
      proposalsPerSecond: perSecond(counts.proposals),
      evaluationsPerSecond: perSecond(counts.evaluations),
    };
  });
}

function named(store: Store, run: number, { index, fitness }: Scored): NamedScore {
  const genome = store.candidates.at(run, index)?.genome;
  if (!genome) throw new Error(`internal: no candidate ${index} in run ${run}`);
  const id = candidateId({ run, index });
  return { id, formula: formatLayer(layerOf(genome)), fitness };
}

function improvementsOf(store: Store, run: number, scored: readonly Scored[]): Improvement[] {
  let top = Number.NEGATIVE_INFINITY;
  const better = scored.filter(({ fitness }) => {
    if (fitness <= top) return false;
    top = fitness;
    return true;
  });
  return better.map((candidate) => ({
    ...named(store, run, candidate),
    at: store.course.committed(run, candidate.index)?.at ?? null,
  }));
}

/** The best mean first. */
function frontOf(store: Store, run: number, { anchors, functions }: ScoredRun): FrontLayer[] {
  const front = new ParetoFront();
  for (const one of functions) front.add(one);
  const members = new Set(front.members.map(({ index }) => index));
  return functions
    .filter(({ index }) => members.has(index))
    .sort((a, b) => b.fitness - a.fitness)
    .map((member) => ({
      ...named(store, run, member),
      perAnchor: anchors.map((anchor, i) => ({ anchor, accuracy: member.accuracies[i]! })),
    }));
}
