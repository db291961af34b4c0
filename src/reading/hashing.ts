import type { StoredFunnelRow, Tier } from '../../db/candidates.ts';
import type { ComparedAudit, ComparedEvaluation } from '../../db/hashing.ts';
import type { Run } from '../../db/runs.ts';
import type { Session } from '../../db/sessions.ts';
import type { Store } from '../../db/store.ts';
import {
  type Audit,
  type AuditCounts,
  countAudits,
  type Noise,
  PooledNoise,
  type Repeats,
} from './audits.ts';
import { speedUp, textbookSpeedUp } from './speed-up.ts';
import type { RunState } from './states.ts';

/** Hits by what became of them. */
export interface Hits {
  /** Those that took over an outcome. */
  readonly full: number;
  /** Those that were evaluated once more, to add to the mean. */
  readonly partial: number;
}

/** What the cache did for a run. Seconds are those of workers, but for `screening`. */
export interface HashingStats {
  /** Proposals that compute a function, so that they got as far as the cache. */
  readonly functions: number;
  readonly hits: Readonly<Record<Tier, Hits>>;
  /** Full hits, as a share of `functions`. */
  readonly hitRate: number | null;
  /** Genomes whose structural key was computed: proposals, baselines, and draws that were not proposed. */
  readonly keys: number;
  /** The next three are null for runs of versions that did not note them. */
  readonly probes: number | null;
  /** Seconds of the coordinating thread that keys and probes took, and their share of the run's time. */
  readonly screening: number | null;
  readonly screeningShare: number | null;
  /** Draws that were not proposed, by the reason. */
  readonly redraws: { readonly neutral: number; readonly tabu: number };
  /** That evaluations took; that they would have taken for what was taken over. */
  readonly paid: number;
  readonly spared: number;
  /** How many times as long the run would have worked without its cache; and the same by the textbook's formula. */
  readonly speedUp: number | null;
  readonly textbookSpeedUp: number | null;
}

/** What came of the audits of a run. */
export interface AuditStats {
  /** That workers spent on them. */
  readonly seconds: number;
  /** What they are compared with: null where too little is known to tell. */
  readonly noise: Noise | null;
  /** Where that is from: evaluations of graphs that were evaluated more than once under the protocol, in any run. */
  readonly repeated: { readonly evaluations: number; readonly graphs: number };
  readonly tiers: Readonly<Record<Tier, AuditCounts>>;
  /** Hits on what another graph of the same functional key was worth: of them, those are false that differ. */
  readonly tested: AuditCounts;
  /** Hits on what the same graph was worth, where nothing but noise differs. */
  readonly control: AuditCounts;
}

/** Of those with several evaluations, enough functions to know the noise to some percent. */
const FUNCTIONS = 100;

/** How the proposals of a run fared, and what it paid for. */
export interface Work {
  readonly funnel: readonly StoredFunnelRow[];
  /** Proposals and baselines. */
  readonly candidates: number;
  readonly evaluations: number;
  /** That these took. */
  readonly seconds: number;
}

export function hashingOf(
  store: Store,
  { run, sessions }: Pick<RunState, 'run' | 'sessions'>,
  { funnel, candidates, evaluations, seconds: paid }: Work,
): HashingStats {
  const { hits, functions } = countHits(funnel);
  const hitRate = functions > 0 ? (hits.structural.full + hits.functional.full) / functions : null;
  const { redraws, probes, screening } = costOf(sessions);
  const spared = store.hashing.sparedSeconds(run.id, run.protocolKey);
  const [perFunction, perEvaluation] = [(screening ?? 0) / functions, paid / evaluations];
  return {
    ...{ functions, hits, hitRate },
    keys: candidates + redraws.neutral + redraws.tabu,
    ...{ probes, screening, redraws, paid, spared },
    screeningShare: screening !== null && run.seconds > 0 ? screening / run.seconds : null,
    speedUp: speedUp({ paid, saved: spared, screening: screening ?? 0 }),
    textbookSpeedUp: hitRate === null ? null : textbookSpeedUp(perFunction, perEvaluation, hitRate),
  };
}

function countHits(funnel: readonly StoredFunnelRow[]) {
  const sum = (of: (row: StoredFunnelRow) => number) =>
    funnel.reduce((total, row) => total + of(row), 0);
  const of = (tier: Tier): Hits => ({
    full: sum((row) => row[tier]),
    partial: sum((row) => row[`${tier}Again`]),
  });
  const functions = sum(({ trained, structural, functional }) => trained + structural + functional);
  return { functions, hits: { structural: of('structural'), functional: of('functional') } };
}

function costOf(sessions: readonly Session[]) {
  const sum = (of: (session: Session) => number) =>
    sessions.reduce((total, session) => total + of(session), 0);
  const screening = sum((session) => session.screening);
  const isNoted = screening > 0;
  return {
    probes: isNoted ? sum(({ probes }) => probes) : null,
    screening: isNoted ? screening : null,
    redraws: { neutral: sum(({ neutral }) => neutral), tabu: sum(({ tabu }) => tabu) },
  };
}

/** Null for a run without audits. */
export function auditsOf(store: Store, { id, protocolKey }: Run): AuditStats | null {
  const stored = store.hashing.audits(protocolKey);
  const own = stored.filter(({ run }) => run === id);
  if (own.length === 0) return null;
  const evaluations = store.hashing.compared(protocolKey, FUNCTIONS);
  const graphs = new Graphs(evaluations, stored);
  const noise = new PooledNoise(graphs.repeats());
  const audits = own.map((audit) => graphs.compare(audit));
  const count = (of: (audit: Audit) => boolean) => countAudits(audits.filter(of), noise);
  return {
    seconds: own.reduce((sum, { seconds }) => sum + seconds, 0),
    noise: noise.noise,
    repeated: { evaluations: noise.evaluations, graphs: noise.graphs },
    tiers: {
      structural: count(({ tier }) => tier === 'structural'),
      functional: count(({ tier }) => tier === 'functional'),
    },
    tested: count(({ sameGraph }) => !sameGraph),
    control: count(({ sameGraph }) => sameGraph),
  };
}

/** One function may have several graphs; with keys of several precisions, a graph has several functions. */
const graphOf = (of: { readonly functionalKey: string; readonly structuralKey: string }): string =>
  `${of.functionalKey} ${of.structuralKey}`;

/** Evaluations and audits by the graph that was evaluated, which one function may have several of. */
class Graphs {
  readonly #evaluations: readonly ComparedEvaluation[];
  readonly #audits: readonly ComparedAudit[];
  readonly #byFunction = new Map<string, ComparedEvaluation[]>();

  constructor(evaluations: readonly ComparedEvaluation[], audits: readonly ComparedAudit[]) {
    this.#evaluations = evaluations;
    this.#audits = audits;
    for (const evaluation of evaluations) {
      const { functionalKey } = evaluation;
      const others = this.#byFunction.get(functionalKey);
      if (others) others.push(evaluation);
      else this.#byFunction.set(functionalKey, [evaluation]);
    }
  }

  compare(audit: ComparedAudit): Audit {
    const { tier, evaluations, taken, outcome, fitness } = audit;
    return {
      ...{ graph: graphOf(audit), tier, sameGraph: this.#isSameGraph(audit) },
      ...{ taken, evaluations, own: { outcome, fitness } },
    };
  }

  /** What has been measured of each graph: by evaluations, and by audits of its own score. */
  repeats(): Repeats[] {
    const groups = new Map<string, number[]>();
    const add = (graph: string, fitness: number | null) => {
      if (fitness !== null) groups.set(graph, [...(groups.get(graph) ?? []), fitness]);
    };
    for (const evaluation of this.#evaluations) add(graphOf(evaluation), evaluation.fitness);
    for (const audit of this.#differentAudits()) add(graphOf(audit), audit.fitness);
    return [...groups].map(([graph, fitnesses]) => ({ graph, fitnesses }));
  }

  /** Another run may have audited the same graph at the same index, with the same seed. */
  #differentAudits(): readonly ComparedAudit[] {
    const seen = new Set<string>();
    return this.#audits.filter((audit) => {
      const evaluation = `${graphOf(audit)} ${audit.index}`;
      const isNew = !seen.has(evaluation);
      seen.add(evaluation);
      return isNew;
    });
  }

  #isSameGraph({ functionalKey, structuralKey, candidate }: ComparedAudit): boolean {
    const before = (this.#byFunction.get(functionalKey) ?? []).filter(
      (evaluation) => evaluation.candidate < candidate,
    );
    return (
      before.length > 0 && before.every((evaluation) => evaluation.structuralKey === structuralKey)
    );
  }
}
