import { setMaxListeners } from 'node:events';
import type { Fault } from '../../db/faults.ts';
import type { Run } from '../../db/runs.ts';
import type { Settled, Store } from '../../db/store.ts';
import type { Job, JobResult } from '../../workers/messages.ts';
import { UserError } from '../errors.ts';
import { evaluationSeed } from '../eval/protocol.ts';
import type { Proposal } from './algorithm.ts';
import { auditSeed, isAudited, isRejectionAudited, withoutTests } from './audit.ts';
import { baselineProposals, canBeParent } from './baselines.ts';
import { Bell } from './bell.ts';
import type { Clock } from './clock.ts';
import type { SearchConfig } from './config.ts';
import { CrashSeries } from './crashes.ts';
import { Flight, type Work } from './flight.ts';
import { Funnel, type Screened, type Screening } from './funnel.ts';
import { type Identified, Identifier } from './identity.ts';
import { Journal } from './journal.ts';
import type { Pool } from './pool.ts';
import { addToFunnel, type Best, better, countFunnel, type FunnelCounts } from './progress.ts';
import { Proposer } from './propose.ts';
import type { Progress, RunSummary, SearchEvent } from './run.ts';
import { type Member, memberOf } from './select.ts';
import { advance, describeStop, type Reached, type StopCondition, upToStop } from './stop.ts';

/** Genomes that are drawn, proposed or not, before messages, timers and signals are looked at again. */
const DRAWS_PER_TURN = 64;
/** Settled proposals that wait for others before they are committed, at most. */
const MOST_HELD = 2000;

/** Lets messages, timers and signals through. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

export interface CoordinatorOptions {
  readonly config: SearchConfig;
  readonly store: Store;
  readonly pool: Pool;
  readonly run: Run;
  readonly signal: AbortSignal;
  readonly emit: (event: SearchEvent) => void;
  readonly clock: Clock;
}

/** One session of a run. */
export class Coordinator {
  readonly #config: SearchConfig;
  readonly #store: Store;
  readonly #pool: Pool;
  readonly #run: Run;
  readonly #emit: (event: SearchEvent) => void;
  readonly #clock: Clock;
  /** Ends everything that is under way, whatever the reason. */
  readonly #stop = new AbortController();
  readonly #interruption: AbortSignal;
  readonly #journal: Journal;
  readonly #identifier: Identifier;
  readonly #proposer: Proposer;
  readonly #funnel: Funnel;
  readonly #bell = new Bell();
  readonly #flight = new Flight(() => this.#bell.ring());
  readonly #crashes = new CrashSeries();
  readonly #baselines: readonly Proposal[];
  /** The youngest members, as many as any proposal to come can see. */
  #members: Member[];
  #next: number;
  /** Up to the last proposal that was taken; counts and best, which others see, up to the last commit. */
  #reached: Reached;
  #counts: FunnelCounts;
  #best: Best | null;
  /** Taken and not yet committed, in order. */
  #pending: Settled[] = [];
  #met: StopCondition | null = null;
  #failure: unknown;

  constructor({ config, store, pool, run, signal, emit, clock }: CoordinatorOptions) {
    this.#config = config;
    this.#store = store;
    this.#pool = pool;
    this.#run = run;
    this.#emit = emit;
    this.#clock = clock;
    this.#interruption = signal;
    // Every job in flight listens to it.
    setMaxListeners(0, this.#stop.signal);
    const onFault = ({ index, kind, message }: Fault) =>
      emit({ type: 'fault', index, kind, message });
    // What a run does not share it does not see.
    const seen = config.cache.shared ? run : { ...run, horizon: 0 };
    this.#identifier = new Identifier({ store, run: seen, clock, config });
    this.#proposer = new Proposer({ store, run, config, identifier: this.#identifier });
    const cost = () => ({ ...this.#identifier.cost, ...this.#proposer.redraws });
    this.#journal = new Journal({ store, run, clock, signal: this.#stop.signal, onFault, cost });
    this.#funnel = new Funnel({ store, run: seen, config });
    this.#baselines = baselineProposals(config);
    this.#next = (store.candidates.lastIndex(run.id) ?? -this.#baselines.length - 1) + 1;
    this.#members = this.#storedMembers();
    this.#counts = countFunnel(store.candidates.funnel(run.id));
    const best = store.candidates.best(run.id);
    this.#best = best && better(null, best);
    const { proposals, evaluated } = this.#counts;
    this.#reached = { proposals, evaluations: evaluated, best: this.#best };
  }

  /** Works on the run until a condition is met or the signal comes. */
  async toTheEnd(): Promise<RunSummary> {
    const interrupt = () => this.#end();
    this.#interruption.addEventListener('abort', interrupt);
    if (this.#interruption.aborted) interrupt();
    try {
      return await this.#session();
    } catch (error) {
      await this.#journal.fail(error);
      throw error;
    } finally {
      this.#interruption.removeEventListener('abort', interrupt);
      this.#end();
    }
  }

  async #session(): Promise<RunSummary> {
    const { workers } = this.#pool;
    await this.#journal.begin(workers, this.#config);
    const run = { ...this.#run, config: this.#config };
    this.#emit({ type: 'started', run, workers, progress: this.#progress() });
    const timeLimit = this.#limitTime();
    await this.#loop();
    const met = this.#met;
    await this.#save(met !== null && met !== 'seconds');
    this.#end();
    await timeLimit;
    if (this.#failure) throw this.#failure;
    const stopped = met ? 'finished' : 'interrupted';
    const detail = met ? describeStop(met, this.#config.stop) : this.#interruptedBy();
    await this.#journal.end(stopped, detail);
    const { seconds } = this.#journal;
    const [runId, counts, best] = [this.#run.id, this.#counts, this.#best];
    return { runId, counts, best, seconds, stopped, condition: met, detail };
  }

  async #loop(): Promise<void> {
    while (!this.#isOver()) {
      const isFull = this.#fill();
      const took = this.#take();
      await this.#save();
      if (took || !isFull) await turn();
      else await this.#bell.rung();
    }
  }

  #isOver(): boolean {
    return this.#met !== null || this.#failure !== undefined || this.#stop.signal.aborted;
  }

  /** Gives up what is under way. */
  #end(): void {
    this.#stop.abort();
    this.#bell.ring();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#end();
  }

  #interruptedBy(): string {
    const { reason } = this.#interruption;
    return typeof reason === 'string' ? reason : 'interrupted';
  }

  /** Ends the session when the time for the run is over. Resolves when the session ends. */
  async #limitTime(): Promise<void> {
    const { seconds } = this.#config.stop;
    const { signal } = this.#stop;
    if (seconds === undefined) return;
    while (!signal.aborted) {
      const left = seconds - this.#journal.seconds;
      if (left <= 0) {
        this.#met ??= 'seconds';
        this.#end();
      } else await this.#clock.wait(1000 * left, signal);
    }
  }

  /** Proposes, as far as the lookahead allows, a turn's worth. True where the lookahead is used up. */
  #fill(): boolean {
    const { lookahead, stop } = this.#config;
    const end = this.#identifier.identified + DRAWS_PER_TURN;
    while (this.#identifier.identified < end) {
      if (this.#next >= stop.proposals || this.#flight.size >= lookahead) return true;
      const index = this.#next++;
      const proposal = this.#propose(index);
      const screening = this.#funnel.screen(index, proposal, this.#flight);
      this.#flight.add(screening, this.#work(screening));
    }
    return false;
  }

  #propose(index: number): Identified {
    if (index >= 0) return this.#proposer.propose(index, this.#members, this.#flight);
    return this.#identifier.identify(this.#baselines.at(index) as Proposal, this.#flight);
  }

  /** Begins what workers do for a proposal; null where that is nothing. */
  #work(screening: Screening): Work | null {
    if (screening.next === 'rejected') return null;
    const { screened, functionalKey } = screening;
    const { protocol } = this.#config;
    if (screening.next === 'evaluate')
      return this.#evaluate(screened, evaluationSeed(protocol, functionalKey, screening.repeat));
    if (!isAudited(screened.index, this.#config)) return null;
    return this.#auditHit(screened, auditSeed(protocol, functionalKey, screened.index));
  }

  /** Evaluates the genome, and trains it to the end where its rejection is audited. */
  async #evaluate({ index, genome }: Screened, seed: string): Work {
    const { protocol } = this.#config;
    const evaluation = await this.#train({ genome, protocol, seed }, index);
    if (evaluation) this.#crashes.landed(index, evaluation);
    const diagnosis = this.#crashes.diagnosis();
    if (diagnosis) this.#fail(diagnosis);
    if (!evaluation) return null;
    if (!isRejectionAudited(index, evaluation.outcome, this.#config))
      return { evaluation, audit: null };
    // From its own seed: the very training that the test ended, from its first step.
    const audit = await this.#train({ genome, protocol: withoutTests(protocol), seed }, index);
    return audit && { evaluation, audit: { kind: 'rejection', ...audit } };
  }

  /**
   * Evaluates a hit's own graph. As all audits, that decides nothing, not even that the machine is broken
   * where it crashes: hits of one function that does would look like it.
   */
  async #auditHit({ index, genome }: Screened, seed: string): Work {
    const audit = await this.#train({ genome, protocol: this.#config.protocol, seed }, index);
    return audit && { evaluation: null, audit: { kind: 'hit', ...audit } };
  }

  /** Has a job of a proposal done; null where that was given up, or ends the run. */
  async #train(job: Job, index: number): Promise<JobResult | null> {
    const { signal } = this.#stop;
    const onFault = (fault: Pick<Fault, 'kind' | 'message'>) =>
      this.#journal.note({ ...fault, index });
    try {
      return await this.#pool.run(job, { signal, onFault });
    } catch (error) {
      if (signal.aborted) return null;
      if (!(error instanceof Error) || error instanceof UserError) {
        this.#fail(error);
        return null;
      }
      // Pools promise not to fail otherwise; if one does, it is no reason to lose the run.
      onFault({ kind: 'thread', message: error.message });
      return crashed(error.message);
    }
  }

  /** Takes what is settled, up to where the run stops, so that later proposals build on it. */
  #take(): boolean {
    const ready = this.#flight.take();
    const { kept, met } = upToStop(this.#config.stop, this.#reached, ready);
    this.#met ??= met;
    for (const candidate of kept) {
      this.#reached = advance(this.#reached, candidate);
      this.#pending.push(candidate);
      const member = canBeParent(candidate.origin, this.#config) ? memberOf(candidate) : null;
      if (member) this.#members.push(member);
    }
    this.#trimMembers();
    return ready.length > 0;
  }

  /** Commits what was taken: everything, or what does not hang on a crash that may be the machine's. */
  async #save(everything = false): Promise<void> {
    const held = this.#pending.findIndex(({ index }) => this.#crashes.includes(index));
    const isFree = everything || held < 0 || this.#pending.length > MOST_HELD;
    const settled = isFree ? this.#pending : this.#pending.slice(0, held);
    if (settled.length === 0 || !(await this.#journal.commit(settled))) return;
    this.#pending = this.#pending.slice(settled.length);
    this.#flight.committed(settled.length);
    this.#tell(settled);
  }

  #tell(settled: readonly Settled[]): void {
    this.#counts = addToFunnel(this.#counts, settled);
    for (const candidate of settled) {
      this.#best = better(this.#best, candidate);
      if (candidate.origin.kind === 'baseline')
        this.#emit({ type: 'baseline', name: candidate.origin.name, candidate });
    }
    this.#emit({ type: 'committed', candidates: settled, progress: this.#progress() });
  }

  /** Members that no proposal to come can see: those beyond the window and the lookahead. */
  get #memory(): number {
    return this.#config.population + this.#config.lookahead;
  }

  #trimMembers(): void {
    // Not at every commit, so that the cost of a commit does not grow with the window.
    if (this.#members.length > 2 * this.#memory) this.#members = this.#members.slice(-this.#memory);
  }

  #storedMembers(): Member[] {
    const first = -this.#baselines.length;
    const limit = this.#memory + this.#baselines.length;
    return this.#store.candidates
      .youngest(this.#run.id, first, this.#next, limit)
      .filter(({ origin }) => canBeParent(origin, this.#config))
      .flatMap((candidate) => memberOf(candidate) ?? []);
  }

  #progress(): Progress {
    return {
      counts: this.#counts,
      total: this.#config.stop.proposals,
      inFlight: this.#flight.size,
      best: this.#best,
      seconds: this.#journal.seconds,
    };
  }
}

const crashed = (message: string): JobResult => ({
  outcome: { outcome: 'crashed', message },
  seconds: 0,
});
