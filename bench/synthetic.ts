/* A database as a month of searches leaves it, without the month: real genomes, made-up scores. */
import { createHash } from 'node:crypto';
import type { Run } from '../db/runs.ts';
import { openStore, type Settled, type Store } from '../db/store.ts';
import { CURVE_POINTS, inFourDigits } from '../src/eval/curve.ts';
import type { Outcome } from '../src/eval/outcome.ts';
import { evaluationSeed, protocolKey } from '../src/eval/protocol.ts';
import { randomStream } from '../src/eval/random.ts';
import { layerOf } from '../src/graph/genome.ts';
import type { LayerGraph } from '../src/graph/graph.ts';
import { structuralKey } from '../src/graph/keys.ts';
import { ZOO } from '../src/graph/zoo.ts';
import { ALGORITHMS, type Proposal } from '../src/search/algorithm.ts';
import { isAudited, isRejectionAudited } from '../src/search/audit.ts';
import { baselineProposals, canBeParent } from '../src/search/baselines.ts';
import { resolveSearchConfig, type SearchConfig } from '../src/search/config.ts';
import { fitnessOf, type Member, memberOf, populationAt } from '../src/search/select.ts';

export interface Synthetic {
  /** Proposals of all runs together. */
  readonly candidates: number;
  readonly runs: number;
  readonly seed: number;
  /** Of the protocol. */
  readonly numerics?: string;
}

const BATCH = 200;
const DAY_MS = 24 * 3600 * 1000;

/** A number in [0, 1) that depends on `text` alone. */
const unitOf = (text: string): number =>
  createHash('sha256').update(text).digest().readUInt32LE(0) / 2 ** 32;

/** Fills a new database. The last run has a protocol of its own; every tenth good function was evaluated five times. */
export function fillDatabase(path: string, options: Synthetic): void {
  const store = openStore(path);
  try {
    for (let run = 0; run < options.runs; run++) fillRun(store, run, options);
  } finally {
    store.close();
  }
}

function fillRun(store: Store, number: number, options: Synthetic): void {
  const { candidates, runs, seed, numerics = 'synthetic' } = options;
  const config = resolveSearchConfig({
    numerics,
    flags: {
      seed: seed + number,
      stop: { proposals: Math.floor(candidates / runs) },
      population: 500,
      protocol: { seed: number === runs - 1 && runs > 1 ? 1 : 0 },
    },
  });
  const { protocol } = config;
  const started = new Date(Date.UTC(2026, 0, 1) + number * DAY_MS).toISOString();
  const key = protocolKey(protocol);
  const run = store.begin({ started, config, protocolKey: key, protocol });
  new Faker(store, run, config).fill();
  store.stop(run, 'finished', { seconds: 3600, at: started });
}

/** Proposes as a search does, and makes the results up. */
class Faker {
  readonly #store: Store;
  readonly #run: Run;
  readonly #config: SearchConfig;
  readonly #members: Member[] = [];
  readonly #seen = new Map<string, { functionalKey: string | null; outcome: Outcome }>();
  #ready: Settled[] = [];

  constructor(store: Store, run: Run, config: SearchConfig) {
    this.#store = store;
    this.#run = run;
    this.#config = config;
  }

  fill(): void {
    const baselines = baselineProposals(this.#config);
    for (const [i, baseline] of baselines.entries()) this.#settle(i - baselines.length, baseline);
    for (let index = 0; index < this.#config.stop.proposals; index++)
      this.#settle(index, this.#propose(index));
    this.#commit();
  }

  #propose(index: number): Proposal {
    const { algorithm, seed, lookahead, population: window } = this.#config;
    // Of all members only the window matters, and looking through all of them takes time.
    const recent = this.#members.slice(-window - lookahead);
    const population = populationAt(index, recent, { lookahead, window });
    return ALGORITHMS[algorithm](population, this.#config, randomStream('proposal', seed, index));
  }

  #settle(index: number, { genome, origin }: Proposal): void {
    const layer = layerOf(genome);
    const key = structuralKey(layer);
    const before = this.#seen.get(key);
    const functionalKey = before ? before.functionalKey : functionalKeyOf(layer, key);
    const outcome = before?.outcome ?? this.#outcomeOf(functionalKey, layer);
    this.#seen.set(key, { functionalKey, outcome });
    const member = memberOf({ index, genome, structuralKey: key, functionalKey, outcome });
    if (member && canBeParent(origin, this.#config)) this.#members.push(member);
    this.#ready.push({
      ...{ index, genome, origin, structuralKey: key, functionalKey, outcome },
      tier: before ? 'structural' : null,
      evaluations: functionalKey === null ? null : 1,
      evaluation: before || functionalKey === null ? null : { repeat: 0, outcome, seconds: 1 },
      audit: before
        ? this.#auditHit(index, functionalKey, outcome)
        : this.#auditRejection(index, functionalKey, outcome),
      fitness: member?.fitness ?? null,
    });
    if (this.#ready.length >= BATCH) this.#commit();
  }

  /** Known layers are good; of the others, the longer ones are better, and many fail. */
  #outcomeOf(functionalKey: string | null, layer: LayerGraph): Outcome {
    if (functionalKey === null) return { outcome: 'constant' };
    const { protocol } = this.#config;
    const luck = unitOf(functionalKey);
    const isKnown = ZOO.some((known) => known.functionalKey === functionalKey);
    const anchor = protocol.anchors[0]!;
    if (luck < 0.2 && !isKnown) return { outcome: 'diverged', anchor, step: 3 };
    if (luck < 0.4 && !isKnown)
      return { outcome: 'low-quality', anchor, step: 100, accuracy: luck / 2, minAccuracy: 0.35 };
    const quality = 0.6 + 0.2 * luck + 0.01 * Math.min(10, layer.nodes.length);
    return { outcome: 'evaluated', perAnchor: this.#scores(functionalKey, quality, 0) };
  }

  /** Of a hit, where it is audited. */
  #auditHit(index: number, functionalKey: string | null, taken: Outcome): Settled['audit'] {
    if (functionalKey === null || !isAudited(index, this.#config)) return null;
    const scores = (fitness: number) =>
      this.#scores(functionalKey, fitness, `audit/${index}` as const);
    const outcome: Outcome =
      taken.outcome === 'evaluated'
        ? { outcome: 'evaluated', perAnchor: scores(fitnessOf(taken)) }
        : taken;
    return { kind: 'hit', outcome, seconds: 1 };
  }

  /** Of an early rejection, where it is audited; what is trained in spite of one comes to little. */
  #auditRejection(
    index: number,
    functionalKey: string | null,
    rejection: Outcome,
  ): Settled['audit'] {
    if (functionalKey === null || !isRejectionAudited(index, rejection, this.#config)) return null;
    const perAnchor = this.#scores(functionalKey, 0.4, 0);
    return { kind: 'rejection', outcome: { outcome: 'evaluated', perAnchor }, seconds: 1 };
  }

  #scores(functionalKey: string, quality: number, repeat: number | `audit/${number}`) {
    const { protocol } = this.#config;
    return protocol.anchors.map((anchor) => {
      const noise = unitOf(`${anchor} ${evaluationSeed(protocol, functionalKey, repeat)}`);
      const accuracy = Math.round((quality + 0.02 * (noise - 0.5)) * 2000) / 2000;
      const loss = 1 - accuracy;
      const curve = curveTo(loss, noise);
      return { anchor, accuracy, loss, steps: protocol.steps, seconds: 0.5, curve };
    });
  }

  #commit(): void {
    const at = new Date(Date.parse(this.#run.started) + this.#ready[0]!.index * 1000).toISOString();
    this.#store.commit(this.#run, this.#ready, { seconds: 3600, at });
    this.#repeat(at);
    this.#ready = [];
  }

  /** More evaluations of every tenth of the functions that were just scored. */
  #repeat(at: string): void {
    const { protocolKey } = this.#run;
    for (const { evaluation, functionalKey, outcome, fitness } of this.#ready) {
      if (!evaluation || functionalKey === null || outcome.outcome !== 'evaluated') continue;
      if (unitOf(`again ${functionalKey}`) >= 0.1) continue;
      for (let n = 1; n < 5; n++)
        this.#store.saveEvaluation({
          ...{ protocolKey, functionalKey, repeat: n, at, seconds: 1 },
          outcome: {
            outcome: 'evaluated',
            perAnchor: this.#scores(functionalKey, fitness ?? 0, n),
          },
        });
    }
  }
}

/** As losses of ten classes fall: soon, then slowly, with some noise. */
const curveTo = (loss: number, noise: number): number[] =>
  Array.from({ length: CURVE_POINTS }, (_, i) => {
    const rest = (Math.LN10 - loss) * Math.exp((-4 * (i + noise)) / CURVE_POINTS);
    return inFourDigits(loss + rest + 0.03 * Math.sin(100 * noise + i * i));
  });

const ZOO_KEYS = new Map(ZOO.map((known) => [structuralKey(known.layer), known.functionalKey]));

/** Probing takes too long here, so that a structure stands for its function. */
function functionalKeyOf(layer: LayerGraph, structure: string): string | null {
  const known = ZOO_KEYS.get(structure);
  if (known !== undefined) return known;
  if (layer.nodes.every(({ op }) => op !== 'x') || unitOf(`flaw ${structure}`) < 0.1) return null;
  return createHash('sha256').update(structure).digest('hex').slice(0, 40);
}
