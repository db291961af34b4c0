import Database from 'better-sqlite3';
import * as z from 'zod';
import {
  checkRepository,
  type Predecessor,
  type RawCandidate,
  type RawRun,
  type StoredAccuracy,
} from '../../db/check.ts';
import { decode } from '../../db/json.ts';
import { openForChecking } from '../../db/open.ts';
import { UserError } from '../errors.ts';
import { type Evaluated, OUTCOME_NAMES } from '../eval/outcome.ts';
import { parseProtocol, protocolKey } from '../eval/protocol.ts';
import { randomStream } from '../eval/random.ts';
import { realNumber, wholeNumber } from '../eval/settings.ts';
import { layerOf, parseGenome } from '../graph/genome.ts';
import { probe, structuralKey } from '../graph/keys.ts';
import { worthAfter } from '../search/cache.ts';
import { candidateId } from '../search/ids.ts';
import { chance } from '../search/random.ts';

/** One thing that is wrong, as a sentence; of a run, or of the file. */
export interface Finding {
  readonly run: number | null;
  readonly message: string;
}

export interface CheckedRun {
  readonly run: number;
  readonly sound: boolean;
  /** That could be read and are in order, baselines not counted. */
  readonly proposals: number;
  /** Candidates whose keys were computed again. */
  readonly sampled: number;
}

/** What `evolayer runs --check --json` prints. */
export interface CheckReport {
  readonly db: string;
  readonly sound: boolean;
  readonly runs: readonly CheckedRun[];
  readonly findings: readonly Finding[];
}

/** Candidates of a run whose keys are computed again: all, or about this many. */
const SAMPLE = 500;
/** Findings of one run that are told; a page that is lost can spoil a thousand rows. */
const TOLD = 10;

type Checks = ReturnType<typeof checkRepository>;

/**
 * Says what of the database at `path` is sound, from one state of it, also while somebody writes it. Never
 * throws for what is in the file; throws a UserError where there is no file.
 */
export function checkDatabase(path: string): CheckReport {
  const findings: Finding[] = [];
  const runs: CheckedRun[] = [];
  guarded(findings, null, 'The database cannot be opened', () => {
    const { db, close } = openForChecking(path);
    try {
      db.transaction(() => runs.push(...checkAll(checkRepository(db), findings))).deferred();
    } finally {
      close();
    }
  });
  return { db: path, sound: findings.length === 0, runs, findings };
}

/**
 * Runs `work`; what SQLite cannot do, or the file should not hold, becomes a finding. UserErrors of exit
 * code 1 say that there is no database of ours to check.
 */
function guarded<T>(
  findings: Finding[],
  run: number | null,
  what: string,
  work: () => T,
): T | null {
  try {
    return work();
  } catch (error) {
    if (error instanceof UserError && error.exitCode === 1) throw error;
    if (!isDamage(error)) throw error;
    findings.push({ run, message: `${what}: ${sayOf(error)}.` });
    return null;
  }
}

/** What an error says, on one line and without a full stop. */
function sayOf(error: Error): string {
  const issue = error instanceof z.ZodError ? error.issues[0] : undefined;
  const text = issue
    ? `${issue.path.map(String).join('.')} must be ${issue.message}`
    : error.message;
  return text.split('\n')[0]!.replace(/\.$/, '');
}

const isDamage = (error: unknown): error is Error =>
  error instanceof Database.SqliteError ||
  error instanceof SyntaxError ||
  error instanceof UserError ||
  error instanceof z.ZodError;

const TABLES = ['protocols', 'runs', 'candidates', 'evaluations', 'rejections'];

function checkAll(checks: Checks, findings: Finding[]): CheckedRun[] {
  const tables = guarded(findings, null, 'The list of tables cannot be read', checks.tables);
  const missing = TABLES.filter((name) => !tables?.includes(name));
  if (tables && missing.length > 0)
    findings.push({
      run: null,
      message: `The tables ${missing.join(', ')} are missing; where this is a copy, the file that ends with -wal was left behind.`,
    });
  const integrity = guarded(findings, null, 'SQLite cannot check the file', checks.integrity) ?? [];
  for (const message of integrity)
    findings.push({ run: null, message: `SQLite says: ${message}.` });
  const dangling = guarded(findings, null, 'References cannot be checked', checks.dangling) ?? [];
  for (const { table, parent, count } of dangling)
    findings.push({
      run: null,
      message: `${count === 1 ? '1 row' : `${count} rows`} of ${table} without the ${parent} row that it names.`,
    });
  if (missing.includes('runs') || missing.includes('protocols')) return [];
  const runs = guarded(findings, null, 'The runs cannot be listed', checks.runs) ?? [];
  return runs.map((run) => checkRun(checks, run, findings));
}

function checkRun(checks: Checks, run: RawRun, findings: Finding[]): CheckedRun {
  const found: Finding[] = [];
  const say = (message: string) => found.push({ run: run.id, message });
  const trying = (what: string, work: () => void) => guarded(found, run.id, what, work);
  const read = { proposals: 0, sampled: 0 };
  let anchors: readonly string[] | null = null;
  let baselines: number | null = null;
  let mantissaBits = DEFAULT_BITS;
  trying('The configuration is damaged', () => {
    ({ baselines, mantissaBits } = readConfig(run.config));
  });
  trying('The protocol is damaged', () => {
    anchors = protocolAnchors(run, say);
  });
  trying('The candidates cannot all be read', () => {
    checkCandidates(checks, { run, baselines, mantissaBits, anchors, say }, read);
  });
  trying('The evaluations cannot be read', () => {
    for (const index of checks.stray(run.id))
      say(`${nameOf(run.id, index)} has an evaluation of another function or protocol.`);
    for (const index of checks.strayAudits(run.id))
      say(`${nameOf(run.id, index)} has an audit that is not one of it.`);
    for (const key of checks.evaluatedTwice(run.id))
      say(`The function ${key} was evaluated more than once.`);
  });
  findings.push(...found.slice(0, TOLD));
  if (found.length > TOLD)
    findings.push({ run: run.id, message: `And ${found.length - TOLD} more.` });
  return { run: run.id, sound: found.length === 0, ...read };
}

const configShape = z.looseObject({
  baselines: z.array(z.string(), 'a list of names'),
  warmStart: z.array(z.string(), 'a list of names'),
  cache: z.looseObject({ mantissaBits: wholeNumber(1, 52) }, 'an object').optional(),
});

/** Of runs from before there was a choice. */
const DEFAULT_BITS = 20;

/** The number of known layers that a run begins with, and the precision of its functional keys. */
function readConfig(config: string): { baselines: number; mantissaBits: number } {
  const { baselines, warmStart, cache } = configShape.parse(JSON.parse(config));
  return {
    baselines: new Set([...baselines, ...warmStart]).size,
    mantissaBits: cache?.mantissaBits ?? DEFAULT_BITS,
  };
}

function protocolAnchors(run: RawRun, say: (message: string) => void): readonly string[] | null {
  if (run.protocol === null) {
    say(`Its protocol ${run.protocolKey} is missing.`);
    return null;
  }
  const protocol = parseProtocol(JSON.parse(run.protocol));
  const key = protocolKey(protocol);
  if (key !== run.protocolKey)
    say(
      `Its protocol has the key ${run.protocolKey} and gives ${key}: it was changed, or another version of evolayer wrote it.`,
    );
  return protocol.anchors;
}

interface RunContext {
  readonly run: RawRun;
  readonly baselines: number | null;
  readonly mantissaBits: number;
  readonly anchors: readonly string[] | null;
  readonly say: (message: string) => void;
}

const nameOf = (run: number, idx: number): string =>
  idx >= 0 ? candidateId({ run, index: idx }) : `Baseline ${-idx}`;

function checkCandidates(
  checks: Checks,
  context: RunContext,
  read: { proposals: number; sampled: number },
): void {
  const { run, baselines, say } = context;
  const share = Math.min(1, SAMPLE / Math.max(1, checks.count(run.id)));
  const rng = randomStream('check', run.id);
  const evaluation = checks.evaluation();
  let next: number | null = baselines === null ? null : -baselines;
  for (const candidate of checks.candidates(run.id)) {
    const { idx } = candidate;
    if (next !== null && idx !== next)
      say(`${nameOf(run.id, next)} is missing: ${nameOf(run.id, idx)} comes in its place.`);
    next = idx + 1;
    const isSampled = chance(share, rng);
    const faults = faultsOf(candidate, { ...context, evaluation, isSampled });
    for (const fault of faults) say(`${nameOf(run.id, idx)}: ${fault}.`);
    if (isSampled) read.sampled++;
    if (idx >= 0) read.proposals++;
  }
}

interface CandidateContext extends RunContext {
  readonly evaluation: ReturnType<Checks['evaluation']>;
  readonly isSampled: boolean;
}

/** What is wrong with one candidate; the first fault of its own, and of its keys. */
function faultsOf(candidate: RawCandidate, context: CandidateContext): string[] {
  const faults: string[] = [];
  const trying = (what: string, rule: () => string | null) => {
    const found: Finding[] = [];
    const fault = guarded(found, null, what, rule);
    if (fault !== null) faults.push(fault);
    faults.push(...found.map(({ message }) => message.replace(/\.$/, '')));
  };
  trying('the genome is damaged', () => genomeFault(candidate, context));
  trying('the outcome is damaged', () => outcomeFault(candidate, context));
  if (candidate.parent !== null && candidate.parent >= candidate.idx)
    faults.push(`its parent ${candidate.parent} comes after it`);
  return faults;
}

function genomeFault(
  candidate: RawCandidate,
  { isSampled, mantissaBits }: CandidateContext,
): string | null {
  const genome = parseGenome(JSON.parse(candidate.genome));
  if (!isSampled) return null;
  const layer = layerOf(genome);
  if (structuralKey(layer) !== candidate.structuralKey)
    return 'its genome does not have its structural key';
  // A layer that was rejected for its batch dependence was not probed.
  if (candidate.outcome === 'batch-dependent') return null;
  const probed = probe(layer, { mantissaBits });
  const key = probed.verdict === 'ok' ? probed.functionalKey : null;
  if (key !== candidate.functionalKey) return 'its genome does not have its functional key';
  return key === null && probed.verdict !== candidate.outcome
    ? `its genome is ${probed.verdict}, not ${candidate.outcome}`
    : null;
}

const evaluatedShape = z.looseObject({
  perAnchor: z
    .array(z.looseObject({ anchor: z.string('a name'), accuracy: realNumber(0, 1) }, 'an object'))
    .min(1),
});

function outcomeFault(candidate: RawCandidate, context: CandidateContext): string | null {
  const { outcome, numbers, fitness, functionalKey, evaluations } = candidate;
  if (!OUTCOME_NAMES.some((name) => name === outcome)) return `it ended as ${outcome}`;
  if (functionalKey === null && evaluations !== null)
    return `it counts ${evaluations} evaluations and has no function`;
  const decoded = decode(numbers);
  if (outcome !== 'evaluated') return evaluationFault(candidate, context);
  const scores = evaluatedShape.parse(decoded).perAnchor;
  const mean = scores.reduce((sum, { accuracy }) => sum + accuracy, 0) / scores.length;
  if (fitness !== mean) return `its fitness is ${fitness}, and the mean of its scores ${mean}`;
  if (context.anchors && scores.map(({ anchor }) => anchor).join() !== context.anchors.join())
    return `it has scores of ${scores.map(({ anchor }) => anchor).join(', ')}`;
  return evaluationFault(candidate, context, scores);
}

type Scores = z.output<typeof evaluatedShape>['perAnchor'];

/** What is wrong with the evaluation that a candidate caused, or with what it made of it; `scores` are the candidate's. */
function evaluationFault(
  candidate: RawCandidate,
  { evaluation, run }: CandidateContext,
  scores: Scores | null = null,
): string | null {
  const { idx, outcome, functionalKey, repeat, evaluations } = candidate;
  if (repeat === null || functionalKey === null) return null;
  const key = [run.protocolKey, functionalKey, repeat] as const;
  const own = evaluation.scores(...key);
  const isAlone = (evaluations ?? 1) === 1;
  const isThere = own.length > 0 || evaluation.isRejected(...key);
  if (!scores) {
    const isFound = isAlone ? evaluation.isRejected(...key, outcome) : isThere;
    return isFound ? null : `its evaluation (${outcome}) is missing`;
  }
  if (own.length === 0) return 'its evaluation is missing';
  // Two runs may evaluate one function in two spellings, which round differently, where the older one goes on
  // without what it does not know of. The row is of the one that came first; the other keeps its own numbers.
  if (own.every((score) => score.run !== null && score.run !== run.id)) return null;
  const before = isAlone ? null : evaluation.before(functionalKey, run.id, idx);
  // What other runs made of it may have gone with them.
  if (!isAlone && !before) return null;
  const expected: readonly Score[] = before ? meanWith(before, own, evaluations as number) : own;
  const isSame = (a: Score, i: number) =>
    a.anchor === scores[i]?.anchor && a.accuracy === scores[i]?.accuracy;
  return expected.length === scores.length && expected.every(isSame)
    ? null
    : `its scores are not those of its ${isAlone ? 'evaluation' : 'evaluations'}`;
}

type Score = Pick<StoredAccuracy, 'anchor' | 'accuracy'>;

/** The scores after one more evaluation, of `evaluations` in all. */
function meanWith(
  { outcome, numbers }: Predecessor,
  own: readonly Score[],
  evaluations: number,
): readonly Score[] {
  if (outcome !== 'evaluated') return [];
  const scored = (scores: readonly Score[]): Evaluated => ({
    outcome: 'evaluated',
    perAnchor: scores.map((score) => ({ ...score, loss: 0, steps: 0, seconds: 0 })),
  });
  const { perAnchor } = evaluatedShape.parse(decode(numbers));
  if (perAnchor.length !== own.length) return [];
  const worth = worthAfter(scored(perAnchor), scored(own), evaluations);
  return worth.outcome === 'evaluated' ? worth.perAnchor : [];
}
