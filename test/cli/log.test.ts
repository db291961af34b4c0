import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { LOG_EVENTS, type LogLevel, type LogOptions, openLog } from '../../src/cli/log.ts';
import { UserError } from '../../src/errors.ts';
import { EVENTS, progress, STARTED } from './events.ts';
import { evolayer, inProcess, TINY, temporaryFolder } from './process.ts';

const line = z.looseObject({
  level: z.enum(['trace', 'debug', 'info', 'warn', 'error']),
  time: z.iso.datetime(),
  event: z.enum(Object.keys(LOG_EVENTS)),
  run: z.int().nullable(),
});

const linesOf = (file: string) =>
  readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((text) => line.parse(JSON.parse(text)));

/** The file after a session of these events, and what the user was told. */
function logged(level: LogLevel, options: Partial<LogOptions> = {}) {
  const file = join(temporaryFolder(), 'run.log');
  const said: string[] = [];
  const log = openLog({ file, level, say: (text) => said.push(text), ...options });
  for (const event of [STARTED, ...EVENTS]) log.onEvent(event);
  const { counts, best, seconds } = progress;
  const why = { condition: 'proposals', detail: '63 proposals' } as const;
  log.stopped({ runId: 2, counts, best, seconds, stopped: 'finished', ...why });
  log.close();
  return { file: options.file ?? file, said };
}

describe('the log of a run', () => {
  test('has a line for each event, with what the documentation promises', () => {
    const lines = linesOf(logged('trace').file);
    expect(lines.map(({ event }) => event)).toEqual([
      ...['started', 'baseline', 'baseline', 'fault'],
      ...['candidate', 'candidate', 'candidate', 'committed', 'best', 'stopped'],
    ]);
    for (const { event, level, time, run, ...fields } of lines) {
      const { doc, level: promised } = LOG_EVENTS[event as keyof typeof LOG_EVENTS];
      expect(level).toBe(promised);
      expect(run).toBe(2);
      const named = [...doc.matchAll(/`(\w+)`/g)].map(([, name]) => name);
      expect(Object.keys(fields).sort(), event).toEqual(named.sort());
    }
    expect(lines.at(-2)).toMatchObject({ id: 'r2-0', fitness: 0.75, before: null });
    expect(lines.at(-1)).toMatchObject({
      condition: 'proposals',
      reason: '63 proposals',
      proposals: 3,
      trained: 1,
    });
  });

  test.each([
    ['debug', 7],
    ['info', 6],
    ['warn', 1],
    ['error', 0],
  ] as const)('at level %s has %d lines', (level, count) => {
    const lines = readFileSync(logged(level).file, 'utf8').split('\n');
    expect(lines).toHaveLength(count + 1);
  });

  test('is appended to', () => {
    const file = join(temporaryFolder(), 'old.log');
    writeFileSync(file, '{"old": true}\n');
    logged('info', { file });
    logged('info', { file });
    const text = readFileSync(file, 'utf8').split('\n');
    expect(text[0]).toBe('{"old": true}');
    expect(text).toHaveLength(1 + 2 * 6 + 1);
  });

  test('names the failure that ended a session, with the stack of a bug only', () => {
    const file = join(temporaryFolder(), 'x.log');
    const log = openLog({ file, level: 'error', say: () => {} });
    log.failed(new UserError('The disk is full.', 1));
    log.failed(new Error('internal: odd'));
    log.close();
    const [mistake, bug] = linesOf(file);
    expect(mistake).toMatchObject({ event: 'diagnosis', message: 'The disk is full.', run: null });
    expect(mistake).not.toHaveProperty('stack');
    expect(bug!.stack).toMatch(/internal: odd\n +at /);
  });

  test('on a full disk says so once', () => {
    const { said } = logged('trace', { file: '/dev/full' });
    expect(said).toEqual([
      'The log /dev/full cannot be written: ENOSPC: no space left on device, write. The run goes on.',
    ]);
  });

  test('goes on when there is space again, also after a torn line', () => {
    const full = () => {
      throw Object.assign(new Error('ENOSPC: full'), { code: 'ENOSPC' });
    };
    let text = '';
    let calls = 0;
    const write = (_: number, line: string): number => {
      calls++;
      if (calls === 3 || calls === 4) return full();
      const part = calls === 2 ? line.slice(0, 9) : line;
      text += part;
      return Buffer.byteLength(part);
    };
    const { said } = logged('info', { write });
    expect(said).toEqual([expect.stringMatching(/ENOSPC: full/)]);
    const lines = text.trimEnd().split('\n');
    expect(lines[1]).toHaveLength(9);
    expect(lines.filter((_, i) => i !== 1).map((l) => JSON.parse(l).event)).toEqual([
      ...['started', 'best', 'stopped'],
    ]);
  });

  test('is described event by event', () => {
    const rows = readFileSync('docs/log.md', 'utf8').match(/^\| `.*$/gm);
    expect(rows).toEqual(
      Object.entries(LOG_EVENTS).map(
        ([name, { level, doc }]) => `| \`${name}\` | ${level} | ${doc} |`,
      ),
    );
  });
});

test('a search writes its log, and finishes without one', async () => {
  const folder = temporaryFolder();
  const file = join(folder, 'x.log');
  const search = (log: string, ...more: string[]) =>
    evolayer([
      ...['search', ...TINY, '--proposals', '40', '--db', join(folder, 'x.db')],
      ...['--log', log, ...more],
    ]);
  expect(await search(file, '--log-level', 'debug')).toMatchObject({ code: 0 });
  const lines = linesOf(file);
  expect(lines.at(0)).toMatchObject({
    event: 'started',
    run: 1,
    config: { stop: { proposals: 40 } },
  });
  expect(lines.at(-1)).toMatchObject({
    event: 'stopped',
    stopped: 'finished',
    reason: '40 proposals',
  });
  expect(lines.findLast(({ event }) => event === 'committed')).toMatchObject({ to: 39 });

  const full = await search('/dev/full');
  expect(full).toMatchObject({ code: 0 });
  expect(full.stderr.match(/The log .dev.full cannot be written/g)).toHaveLength(1);
});

test('a log that cannot be opened is refused before any work', async () => {
  const folder = temporaryFolder();
  const args = ['search', ...TINY, '--proposals', '1', '--db', join(folder, 'x.db')];
  const ended = await inProcess([...args, '--log', join(folder, 'absent', 'x.log')]);
  expect(ended).toMatchObject({ code: 1, stdout: '' });
  expect(ended.stderr).toMatch(/^error: The log .* cannot be written: there is no such file/);
});
