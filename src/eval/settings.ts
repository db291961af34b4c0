import * as z from 'zod';
import { UserError } from '../errors.ts';
import { grouped } from '../grouped.ts';
import { didYouMean } from '../suggest.ts';

/*
 * Building blocks of configuration schemas. The message of every check says what would be right, as a
 * noun phrase; `validate` puts the key and the value in front of it.
 */

export const wholeNumber = (min: number, max: number) => {
  const error = `a whole number from ${grouped(min)} to ${grouped(max)}`;
  return z.int(error).min(min, error).max(max, error);
};

export const realNumber = (min: number, max: number) => {
  const error = `a number from ${grouped(min)} to ${grouped(max)}`;
  return z.number(error).min(min, error).max(max, error);
};

export const positiveNumber = (
  max: number,
  error = `a number above 0 and up to ${grouped(max)}`,
) => {
  return z.number(error).positive(error).max(max, error);
};

export const trueOrFalse = () => z.boolean('true or false');

export const oneOf = <const Names extends readonly [string, ...string[]]>(names: Names) =>
  z.enum(names, `one of ${names.join(', ')}`);

/** One of the names, or a text of that form, which `what` describes. */
export const oneOfOr = <const Names extends readonly [string, ...string[]]>(
  names: Names,
  form: RegExp,
  what: string,
) =>
  z.union(
    // Without `abort` the union would give the form's complaint for its own.
    [z.enum(names), z.string().regex(form, { abort: true })],
    `one of ${names.join(', ')}, or ${what}`,
  );

/** An object with exactly these keys. */
export const settings = <Shape extends z.ZodRawShape>(shape: Shape) => {
  const keys = Object.keys(shape).join(', ');
  const error = ({ code }: { code: string }) =>
    code === 'unrecognized_keys' ? keys : `an object with the keys ${keys}`;
  return z.strictObject(shape, { error });
};

/** Parses `input`, or throws a UserError with the first thing that is wrong, its value, and what would be right. */
export function validate<Schema extends z.ZodType>(
  schema: Schema,
  input: unknown,
  subject: string,
): z.output<Schema> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  throw new UserError(sentence(result.error.issues[0]!, input, subject));
}

function sentence(issue: z.core.$ZodIssue, input: unknown, subject: string): string {
  const key = (path: readonly PropertyKey[]) => path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    const unknown = key([...issue.path, issue.keys[0]!]);
    return `${subject} has no setting ${unknown}; the settings there are ${issue.message}.${didYouMean(issue.keys[0]!, issue.message.split(', '))}`;
  }
  const value = issue.path.reduce<unknown>(
    (at, step) => (at as Record<PropertyKey, unknown> | undefined)?.[step],
    input,
  );
  const name = issue.path.length ? `${subject}: ${key(issue.path)}` : subject;
  return value === undefined
    ? `${name} is missing; it must be ${issue.message}.`
    : `${name} is ${show(value)}; it must be ${issue.message}.${guess(value, issue)}`;
}

function guess(value: unknown, issue: z.core.$ZodIssue): string {
  if (typeof value !== 'string') return '';
  const issues = issue.code === 'invalid_union' ? issue.errors.flat() : [issue];
  const names = issues.flatMap((one) => (one.code === 'invalid_value' ? one.values : []));
  return names.length > 0 ? didYouMean(value, names.map(String)) : '';
}

function show(value: unknown): string {
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** A settings file or a set of flags, of which any part may be left out. */
export type Overrides<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { readonly [Key in keyof T]?: Overrides<T[Key]> }
    : T;

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** `base` with the values of `overrides` in place of its own, key by key; arrays are replaced whole. */
export function mergeSettings(base: unknown, overrides: unknown): unknown {
  if (overrides === undefined) return base;
  if (!isRecord(base) || !isRecord(overrides)) return overrides;
  const merged = { ...base };
  for (const [key, value] of Object.entries(overrides))
    merged[key] = mergeSettings(Object.hasOwn(base, key) ? base[key] : undefined, value);
  return merged;
}
