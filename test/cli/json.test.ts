import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { packageRoot } from '../../src/eval/package-root.ts';
import { evolayer, TINY } from './process.ts';

/** What docs/json.md says of a value: its keys, what its items are, or nothing. */
type Shape =
  | { readonly keys: ReadonlyMap<string, Shape>; readonly orNull: boolean }
  | { readonly items: Shape }
  | null;

const TOKEN = /[\p{L}\d_]+|'[^']+'|\| null|[{}[\],:]/gu;

/** Reads `{key, key: {…} | null, key: [{…}]}`. */
function parse(text: string): Shape {
  const tokens = text.match(TOKEN) ?? [];
  let at = 0;
  const eat = (token: string): boolean => {
    if (at > tokens.length) throw new Error(`no end: ${text}`);
    const isThere = tokens[at] === token;
    if (isThere) at++;
    return isThere;
  };
  const shape = (): Shape => {
    if (eat('[')) {
      const items = shape();
      while (!eat(']')) at++;
      return { items };
    }
    if (!eat('{')) {
      at++;
      return null;
    }
    const keys = new Map<string, Shape>();
    while (!eat('}')) {
      const key = tokens[at++]!.replaceAll("'", '');
      if (key !== ',') keys.set(key, eat(':') ? shape() : null);
    }
    return { keys, orNull: eat('| null') };
  };
  return shape();
}

interface Entry {
  readonly shape: Shape;
  /** What indented lines say of keys, wherever these stand. */
  readonly parts: ReadonlyMap<string, Shape>;
}

const DOCS = readFileSync(join(packageRoot(), 'docs/json.md'), 'utf8');

function documented(command: string): Entry {
  const lines = DOCS.split('\n');
  const start = lines.findIndex((line) => line.startsWith('- ') && namesOf(line).includes(command));
  if (start < 0) throw new Error(`docs/json.md says nothing of ${command}`);
  const end = lines.findIndex((line, i) => i > start && !line.startsWith('  - '));
  const shapes = lines.slice(start + 1, end).flatMap((line) => {
    const shape = shapeIn(line);
    return shape ? namesOf(line).map((name) => [name, shape] as const) : [];
  });
  const shape = shapeIn(lines[start]!);
  return { shape, parts: new Map(shapes) };
}

/** What stands before the colon. */
const namesOf = (line: string): string[] =>
  [...line.slice(0, line.indexOf('`: ') + 1).matchAll(/`([^`]+)`/g)].map(([, name]) => name!);

function shapeIn(line: string): Shape {
  const text = line.match(/`: (an array of )?`([{[][^`]*)`/);
  if (!text) return null;
  const shape = parse(text[2]!);
  return text[1] ? { items: shape } : shape;
}

/** What differs between a value and what the documentation says. */
function differences(value: unknown, shape: Shape, parts: Entry['parts'], path = '$'): string[] {
  if (shape === null) return [];
  if ('items' in shape) {
    if (!Array.isArray(value)) return [`${path} is no array`];
    return value.flatMap((item) => differences(item, shape.items, parts, `${path}[]`));
  }
  if (value === null && shape.orNull) return [];
  if (value === null || typeof value !== 'object') return [`${path} is ${JSON.stringify(value)}`];
  const found = Object.entries(value);
  return [
    ...found
      .filter(([key]) => !shape.keys.has(key))
      .map(([key]) => `${path}.${key} is undocumented`),
    ...[...shape.keys.keys()]
      .filter((key) => !(key in value))
      .map((key) => `${path}.${key} is missing`),
    ...found.flatMap(([key, inner]) => {
      const wanted = shape.keys.get(key) ?? parts.get(key) ?? null;
      return inner === null && parts.has(key)
        ? []
        : differences(inner, wanted, parts, `${path}.${key}`);
    }),
  ];
}

const folder = mkdtempSync(join(tmpdir(), 'evolayer-'));
const db = join(folder, 'x.db');
const SIZE = [
  '--proposals',
  '150',
  '--baseline',
  'BN-ReLU',
  '--audit',
  '1',
  '--rejection-audit',
  '1',
];

beforeAll(async () => {
  const { code, stderr } = await evolayer(['search', ...TINY, ...SIZE, '--db', db]);
  expect(code, stderr).toBe(0);
}, 60_000);

afterAll(() => rmSync(folder, { recursive: true }));

test.each([
  ['search', ['search', ...TINY, '--proposals', '3', '--db', join(folder, 'y.db')]],
  ['search --dry-run', ['search', ...TINY, '--dry-run', '--db', db]],
  ['runs', ['runs', '--db', db]],
  ['runs --check', ['runs', '--check', '--db', db]],
  ['stats', ['stats', '--db', db]],
  ['leaderboard', ['leaderboard', '--db', db]],
  ['show', ['show', 'BN-ReLU', '--db', db]],
  ['compare', ['compare', 'BN-ReLU', 'EvoNorm-S0', '--db', db]],
  ['inspect', ['inspect', 'EvoNorm-B0', '--depth', '3', '--images', '4']],
  ['prune', ['prune', '--run', '1', '--dry-run', '--db', db]],
  ['zoo', ['zoo']],
  ['data list', ['data', 'list']],
  ['networks', ['networks', '--anchor', 'mini-wide']],
])('%s prints what docs/json.md says, key by key', async (name, args) => {
  const { code, stdout, stderr } = await evolayer([...args, '--json']);
  expect(code, stderr).toBe(0);
  const { shape, parts } = documented(name);
  expect(shape).not.toBeNull();
  expect([...new Set(differences(JSON.parse(stdout), shape, parts))]).toEqual([]);
});
