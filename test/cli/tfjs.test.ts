import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test, vi } from 'vitest';
import { openStore } from '../../db/store.ts';
import type { Backend } from '../../src/eval/tfjs/backends.ts';
import { isFast, TESTED } from '../eval/tfjs/backends.ts';
import { evolayer, inProcess, start, TINY, temporaryFolder } from './process.ts';

// Several whole runs, each in a process of its own.
vi.setConfig({ testTimeout: 300_000 });

const SETTINGS = [...TINY, '--baseline', 'bn-relu', '--lookahead', '8', '--warm-start', 'DyT'];

const search = (db: string, backend: Backend, ...more: string[]) => [
  ...['search', ...SETTINGS, '--backend', backend, '--proposals', '60', '--db', db],
  ...more,
];

/** All that a run decided. */
function candidatesOf(db: string): string[] {
  const store = openStore(db, { readonly: true });
  try {
    return [...store.candidates.ofRun(1)].map((candidate) => JSON.stringify(candidate));
  } finally {
    store.close();
  }
}

// The cpu backend is slow, and differs from wasm in nothing that these hold.
describe.each(TESTED.filter((backend) => backend !== 'cpu'))('a search on %s', (backend) => {
  test.runIf(isFast(backend))(
    'that is killed and resumed comes to what it would have been',
    async () => {
      const folder = temporaryFolder();
      const [whole, killed] = [join(folder, 'whole.db'), join(folder, 'killed.db')];
      const { code, stdout } = await evolayer(search(whole, backend, '--workers', '2', '--json'));
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ proposals: 60, stopped: 'finished' });
      expect(JSON.parse(stdout).trained).toBeGreaterThan(0);
      const first = start(search(killed, backend, '--workers', '1'));
      await first.says('DyT: ');
      first.process.kill('SIGKILL');
      expect((await first.ended).code).toBe('SIGKILL');
      const resumed = await evolayer(['resume', '1', '--workers', '2', '--db', killed]);
      expect(resumed.code).toBe(0);
      expect(candidatesOf(killed)).toEqual(candidatesOf(whole));
    },
  );

  test('evaluates a layer as the native engine does, under another protocol', async () => {
    const evaluated = async (...engine: string[]) => {
      const args = ['evaluate', 'EvoNorm-S0', ...TINY, ...engine, '--json'];
      const { code, stdout } = await evolayer(args);
      expect(code).toBe(0);
      return JSON.parse(stdout);
    };
    const [ours, native] = [await evaluated('--backend', backend), await evaluated()];
    expect(ours.perAnchor[0].loss / native.perAnchor[0].loss).toBeCloseTo(1, 3);
    expect(ours.protocol).not.toBe(native.protocol);
  });
});

describe('what cannot be', () => {
  const CASES: readonly (readonly [string[], 1 | 2, RegExp])[] = [
    [['--engine', 'tpu'], 2, /no engine "tpu"; the engines are auto, native, tfjs\./],
    [['--backend', 'wasn'], 2, /no backend "wasn"; .*wasm, cpu\. Did you mean wasm\?/],
    [['--engine', 'native', '--backend', 'wasm'], 2, /goes with --engine tfjs/],
  ];

  test.each(CASES)('%j is refused with a sentence', async (args, code, says) => {
    const ended = await inProcess(['config', ...args]);
    expect(ended).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(says) });
  });

  test('is to go on with a run of another version', async () => {
    const db = join(temporaryFolder(), 'x.db');
    await evolayer(search(db, 'wasm', '--proposals', '4'));
    const direct = new Database(db);
    const change = "UPDATE runs SET config = json_set(config, '$.protocol.numerics', ?)";
    direct.prepare(change).run('tfjs/wasm/0.0.1');
    direct.close();
    const ended = await evolayer(['resume', '1', '--proposals', '9', '--db', db]);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toMatch(/arithmetic tfjs\/wasm\/0\.0\.1, which cannot be had .*wasm\/4/);
  });
});

test('the numerics that a backend has are part of the configuration', async () => {
  const { stdout } = await evolayer(['config', '--engine', 'tfjs', '--backend', 'wasm']);
  expect(JSON.parse(stdout).protocol.numerics).toMatch(/^tfjs\/wasm\/4\.\d+\.\d+$/);
});
