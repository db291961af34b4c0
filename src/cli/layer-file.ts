import { statSync } from 'node:fs';
import { UserError } from '../errors.ts';
import type { Exported } from '../export/exported.ts';
import { FORMAT, VERSION } from '../export/json.ts';
import { clip, printable } from '../format.ts';
import { type Genome, parseGenome } from '../graph/genome.ts';
import { EPSILON } from '../graph/ops.ts';
import { parseCandidateId } from '../search/ids.ts';
import { explainedFile, readJson } from './files.ts';

/** A layer out of a file that `evolayer export --to json` wrote, or somebody else. Nothing but its form is checked. */
export interface LayerFile
  extends Pick<
    Exported,
    'structuralKey' | 'found' | 'formula' | 'groups' | 'movingDecay' | 'scores'
  > {
  readonly path: string;
  /** The functional key that it claims. */
  readonly id: string;
  readonly genome: Genome;
}

/** What a file without faults holds. */
type Whole = Omit<LayerFile, 'path' | 'genome'> & { readonly genome: unknown };

/** True for what can be nothing but a file: no id, zoo name or formula has this form. */
export const isLayerPath = (text: string): boolean =>
  /^\s*(?:\.{0,2}[\\/])/.test(text) || /\.json\s*$/i.test(text);

/** Formulas are the largest part, and have a million characters at most. */
const MAX_BYTES = 4_000_000;
/** What is deeper than this was not written by us, and would exhaust the stack of whoever follows it. */
const MAX_DEPTH = 16;

/** Reads such a file. Throws a UserError that tells the file, the place and what would be right there. */
export function readLayerFile(text: string): LayerFile {
  const path = text.trim();
  refuseLarge(path);
  const json = readJson(path);
  if (isDeep(json)) throw new UserError(`${path} is nested deeper than ${MAX_DEPTH} levels.`);
  refuseOthers(json, path);
  refuseFaults(json, path);
  const { genome, id, structuralKey, found, formula, groups, movingDecay, scores } =
    json as unknown as Whole;
  return {
    // Files were written without it at first.
    ...{ path, id, structuralKey, found: found ?? null, formula, groups, movingDecay, scores },
    genome: genomeIn(genome, path),
  };
}

function refuseLarge(path: string): void {
  const file = statOf(path);
  if (!file.isFile()) throw new UserError(`${path} cannot be read: it is no file.`, 1);
  if (file.size > MAX_BYTES)
    throw new UserError(
      `${path} has ${file.size} bytes; the file of a layer has ${MAX_BYTES} at most.`,
    );
}

function statOf(path: string) {
  try {
    return statSync(path);
  } catch (error) {
    throw explainedFile(error, `${path} cannot be read`);
  }
}

/** Goes by levels, for the stack would not do. */
function isDeep(json: unknown): boolean {
  let level = [json];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) return true;
    level = level.flatMap((value) =>
      typeof value === 'object' && value !== null ? Object.values(value) : [],
    );
  }
  return false;
}

/** What comes from a newer evolayer is told apart from what is damaged. */
function refuseOthers(json: unknown, path: string): asserts json is Json {
  const { format, version } = isObject(json) ? json : {};
  if (format !== FORMAT || !isWhole(version, 1, Number.MAX_SAFE_INTEGER))
    throw new UserError(
      `${path} holds no layer; what \`evolayer export --to json\` writes begins with "format": "${FORMAT}" and a "version".`,
    );
  if (version > VERSION)
    throw new UserError(
      `${path} is of version ${version} of the format, and this evolayer reads up to ${VERSION}; update it.`,
    );
}

/*
 * The form of a file, by hand: reading commands answer in the time that zod takes to load.
 */

type Json = Readonly<Record<string, unknown>>;

/** What would be right; a place within the value where that is what is wrong. */
type Check = (value: unknown) => string | Fault | null;

interface Fault {
  readonly at: string;
  readonly value: unknown;
  readonly right: string;
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isWhole = (value: unknown, min: number, max: number): value is number =>
  Number.isInteger(value) && (value as number) >= min && (value as number) <= max;

const text =
  (max: number): Check =>
  (value) =>
    typeof value === 'string' && value.length <= max ? null : `text of at most ${max} characters`;
const whole =
  (min: number, max: number): Check =>
  (value) =>
    isWhole(value, min, max) ? null : `a whole number from ${min} to ${max}`;
const real =
  (min: number, max: number): Check =>
  (value) =>
    typeof value === 'number' && value >= min && value <= max
      ? null
      : `a number from ${min} to ${max}`;
const equal =
  (wanted: unknown): Check =>
  (value) =>
    value === wanted ? null : JSON.stringify(wanted);
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined ? null : check(value);
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null ? null : check(value);

const listOf =
  (check: Check, max: number): Check =>
  (value) => {
    if (!Array.isArray(value) || value.length > max) return `a list of at most ${max}`;
    return first(value.map((entry, i) => within(`[${i}]`, entry, check(entry))));
  };

/** An object with exactly these keys. */
const record =
  (checks: Readonly<Record<string, Check>>): Check =>
  (value) => {
    const keys = Object.keys(checks);
    if (!isObject(value)) return `an object with the keys ${keys.join(', ')}`;
    const stray = Object.keys(value).find((key) => !keys.includes(key));
    if (stray !== undefined)
      return {
        at: `.${clip(stray, 60)}`,
        value: value[stray],
        right: `left out; the keys are ${keys.join(', ')}`,
      };
    const own = (key: string) => (Object.hasOwn(value, key) ? value[key] : undefined);
    return first(keys.map((key) => within(`.${key}`, own(key), checks[key]!(own(key)))));
  };

const first = (faults: readonly (Fault | null)[]): Fault | null =>
  faults.find((fault) => fault !== null) ?? null;

function within(at: string, value: unknown, found: string | Fault | null): Fault | null {
  if (found === null) return null;
  return typeof found === 'string'
    ? { at, value, right: found }
    : { ...found, at: `${at}${found.at}` };
}

const candidate: Check = (value) =>
  typeof value === 'string' && value.length <= 40 && parseCandidateId(value) !== null
    ? null
    : 'the id of a proposal, such as "r1-42"';

const score = record({ anchor: text(200), accuracy: real(0, 1) });

const checkFile = record({
  format: equal(FORMAT),
  version: equal(VERSION),
  name: orNull(text(200)),
  id: text(200),
  structuralKey: text(200),
  found: optional(orNull(candidate)),
  formula: text(1_000_000),
  epsilon: equal(EPSILON),
  groups: whole(1, 1024),
  movingDecay: real(0, 0.9999),
  // The genome tells its faults itself.
  genome: () => null,
  scores: orNull(
    record({
      protocol: text(200),
      mean: real(0, 1),
      perAnchor: listOf(score, 100),
      evaluations: whole(1, 1e9),
    }),
  ),
});

function refuseFaults(json: Json, path: string): void {
  const fault = within('', json, checkFile(json));
  if (!fault) return;
  const { at, value, right } = fault;
  const is = value === undefined ? 'missing' : clip(JSON.stringify(value), 60);
  throw new UserError(printable(`${path}: ${at.slice(1)} is ${is}; it must be ${right}.`));
}

function genomeIn(json: unknown, path: string): Genome {
  try {
    return parseGenome(json);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`${path}: ${error.message}`, 2, { cause: error });
  }
}
