import * as z from 'zod';
import { type Flag, PROTOCOL_FLAGS } from '../eval/presets.ts';
import { isRecord } from '../eval/settings.ts';
import { searchConfigSchema } from '../search/config.ts';
import { SEARCH_FLAGS } from './settings.ts';

type Json = Record<string, unknown>;

/** Where the schema of configuration files lies in this package, and in its repository. */
export const SCHEMA_FILE = 'docs/config.schema.json';

/**
 * The JSON schema of configuration files, for editors: any part of a SearchConfig may be left out, and
 * settings that have a flag have its description.
 */
export function configSchema(): Json {
  const { $schema, ...whole } = z.toJSONSchema(searchConfigSchema, { io: 'input' }) as Json;
  const schema = withoutRequired(whole) as Json;
  for (const flag of Object.values(SEARCH_FLAGS as Record<string, Flag>))
    describe(schema, flag.path, flag);
  for (const flag of Object.values(PROTOCOL_FLAGS as Record<string, Flag>))
    describe(schema, ['protocol', ...flag.path], flag);
  const quality = propertyOf(schema, ['protocol', 'quality'])?.properties as Json;
  quality.minAccuracy = anyAccuracy(quality.minAccuracy as Json);
  const protocol = propertyOf(schema, ['protocol'])?.properties as Json;
  protocol.stability = orFalse(protocol.stability as Json);
  return {
    $schema,
    title: 'Configuration of evolayer',
    ...schema,
    properties: { $schema: { type: 'string' }, ...(schema.properties as Json) },
  };
}

/** One number stands for all anchors, as `resolveProtocol` reads it. */
const anyAccuracy = ({ description, ...perAnchor }: Json): Json => ({
  description,
  anyOf: [perAnchor.additionalProperties, perAnchor],
});

/** A group of settings that may be left out where a preset has it. */
const orFalse = ({ description, ...group }: Json): Json => ({
  description,
  anyOf: [{ const: false }, group],
});

function withoutRequired(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutRequired);
  if (!isRecord(value)) return value;
  const kept = Object.entries(value).filter(
    ([key, of]) => key !== 'required' || !Array.isArray(of),
  );
  return Object.fromEntries(kept.map(([key, of]) => [key, withoutRequired(of)]));
}

function propertyOf(schema: Json, path: readonly (string | undefined)[]): Json | undefined {
  return path.reduce<Json | undefined>(
    (at, key) => (key === undefined ? at : (propertiesOf(at)?.[key] as Json | undefined)),
    schema,
  );
}

/** Of an object, or of the one that a setting may be. */
function propertiesOf(schema: Json | undefined): Json | undefined {
  const forms = Array.isArray(schema?.anyOf) ? [schema, ...schema.anyOf] : [schema];
  return forms.find((form) => form?.properties)?.properties as Json | undefined;
}

function describe(schema: Json, path: readonly (string | undefined)[], { doc, kind }: Flag): void {
  const property = propertyOf(schema, path);
  if (!property) throw new Error(`internal: no setting ${path.join('.')}`);
  // In a file a duration is a number.
  property.description = kind === 'duration' ? doc.replace(/,.*/, ', in seconds') : doc;
}

/** The values that the setting behind a flag can have; none where these are numbers or anything. */
export function valuesOfFlag(long: string): string[] {
  const schema = configSchema();
  const find = (flags: Readonly<Record<string, Flag>>, prefix: readonly string[]) => {
    const found = Object.values(flags).find(({ flag }) => flag.split(' ')[0] === long);
    return found && propertyOf(schema, [...prefix, ...found.path]);
  };
  const setting = find(SEARCH_FLAGS, []) ?? find(PROTOCOL_FLAGS, ['protocol']);
  const one = isRecord(setting?.items) ? setting.items : setting;
  const forms = Array.isArray(one?.anyOf) ? one.anyOf.filter(isRecord) : one ? [one] : [];
  return forms.flatMap(({ enum: values }) => (Array.isArray(values) ? values.map(String) : []));
}
