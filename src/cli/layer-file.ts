import { statSync } from 'node:fs';
import { z } from 'zod';
import { UserError } from '../errors.ts';
import { realNumber, settings, validate, wholeNumber } from '../eval/settings.ts';
import type { Exported, Scores } from '../export/exported.ts';
import { FORMAT, VERSION } from '../export/json.ts';
import { type Genome, parseGenome } from '../graph/genome.ts';
import { EPSILON } from '../graph/ops.ts';
import { explainedFile, readJson } from './files.ts';

/** A layer out of a file that `evolayer export --to json` wrote, or somebody else. Nothing but its form is checked. */
export interface LayerFile
  extends Pick<Exported, 'structuralKey' | 'formula' | 'groups' | 'movingDecay' | 'scores'> {
  readonly path: string;
  /** The functional key that it claims. */
  readonly id: string;
  readonly genome: Genome;
}

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
  const { genome, id, structuralKey, formula, groups, movingDecay, scores } = validate(
    fileSchema,
    json,
    path,
  );
  return {
    ...{ path, id, structuralKey, formula, groups, movingDecay, scores },
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

const kindSchema = z.looseObject({ format: z.literal(FORMAT), version: z.int().positive() });

/** What comes from a newer evolayer is told apart from what is damaged. */
function refuseOthers(json: unknown, path: string): void {
  const kind = kindSchema.safeParse(json);
  if (!kind.success)
    throw new UserError(
      `${path} holds no layer; what \`evolayer export --to json\` writes begins with "format": "${FORMAT}" and a "version".`,
    );
  const { version } = kind.data;
  if (version > VERSION)
    throw new UserError(
      `${path} is of version ${version} of the format, and this evolayer reads up to ${VERSION}; update it.`,
    );
}

const text = (max: number) => {
  const error = `text of at most ${max} characters`;
  return z.string(error).max(max, error);
};

const scoresSchema = settings({
  protocol: text(200),
  mean: realNumber(0, 1),
  perAnchor: z
    .array(settings({ anchor: text(200), accuracy: realNumber(0, 1) }), 'a list')
    .max(100, 'a list of at most 100'),
  evaluations: wholeNumber(1, 1e9),
});

const fileSchema = settings({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  name: text(200).nullable(),
  id: text(200),
  structuralKey: text(200),
  formula: text(1_000_000),
  epsilon: z.literal(EPSILON, `${EPSILON}, for the ops have no other`),
  groups: wholeNumber(1, 1024),
  movingDecay: realNumber(0, 0.9999),
  genome: z.unknown(),
  scores: scoresSchema.nullable() satisfies z.ZodType<Scores | null>,
});

function genomeIn(json: unknown, path: string): Genome {
  try {
    return parseGenome(json);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`${path}: ${error.message}`, 2, { cause: error });
  }
}
