import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openStore, type Store } from '../../db/store.ts';
import { loadDataset } from '../../src/eval/data.ts';
import { evaluateLayer } from '../../src/eval/evaluate.ts';
import { nativeEngine } from '../../src/eval/native/engine.ts';
import { resolveProtocol } from '../../src/eval/presets.ts';
import { evaluationSeed, type Protocol, protocolKey } from '../../src/eval/protocol.ts';
import { genomeOf } from '../../src/graph/genome.ts';
import { ZOO } from '../../src/graph/zoo.ts';
import { evaluated, settled, TIME } from '../db/records.ts';
import { inProcess, temporaryFolder } from './process.ts';

const { layer, functionalKey } = ZOO.find(({ name }) => name === 'DyT')!;

const PROTOCOL = resolveProtocol(
  'quick',
  {
    dataset: { pool: 7, validation: 20 },
    ...{ anchors: ['mini-wide'], batch: 4, steps: 2, augmentation: { pad: 0 } },
    quality: { steps: 1, images: 10, minAccuracy: 0 },
  },
  nativeEngine().numerics,
);

/** A database in which a search scored DyT, as its third proposal. */
function scored(protocol: Protocol = PROTOCOL, key = protocolKey(protocol)): string {
  const path = join(temporaryFolder(), 'x.db');
  const store = openStore(path);
  const run = store.begin({ started: TIME.at, config: {}, protocolKey: key, protocol });
  const good = settled(0, { genome: genomeOf(layer), functionalKey, outcome: evaluated(0.25) });
  store.commit(run, [good, settled(1, { outcome: { outcome: 'constant' } })], TIME);
  store.close();
  return path;
}

function inStore<T>(path: string, ask: (store: Store) => T): T {
  const store = openStore(path, { readonly: true });
  try {
    return ask(store);
  } finally {
    store.close();
  }
}

const historyOf = (path: string) =>
  inStore(path, ({ history }) => history.ofFunction(functionalKey));

test('evaluate --save stores what an evaluation with the seed of each repeat gives, and goes on', async () => {
  const db = scored();
  const args = ['evaluate', 'r1-0', '--save', '--db', db];
  expect(await inProcess([...args, '--repeats', '2'])).toMatchObject({ code: 0 });
  const first = historyOf(db);
  expect(first.map(({ repeat }) => repeat)).toEqual([0, 1]);

  const { code, stdout } = await inProcess([...args, '--repeats', '4', '--json']);
  expect(code).toBe(0);
  const all = historyOf(db);
  expect(all.slice(0, 2)).toEqual(first);
  const dataset = loadDataset('fashion-mnist', { pool: 7 });
  for (const { repeat, outcome, run, index } of all.slice(1)) {
    const seed = evaluationSeed(PROTOCOL, functionalKey, repeat);
    const engine = nativeEngine();
    const again = evaluateLayer({ layer, protocol: PROTOCOL, seed, dataset, engine });
    if (again.outcome !== 'evaluated' || outcome.outcome !== 'evaluated') throw new Error('scores');
    expect(outcome.perAnchor[0]).toMatchObject({ loss: again.perAnchor[0]!.loss, steps: 2 });
    expect([run, index]).toEqual([1, 0]);
  }
  expect(JSON.parse(stdout)).toMatchObject({ evaluations: 4, rejected: 0, functionalKey });
  expect(
    inStore(db, ({ evaluations }) => evaluations.known(protocolKey(PROTOCOL), functionalKey, 9)),
  ).toMatchObject({ evaluations: 1, outcome: { perAnchor: [{ accuracy: 0.25 }] } });

  const check = await inProcess(['runs', '--check', '--db', db]);
  expect(check.stdout).toContain('the file is sound');
  expect(check.stdout).not.toContain('has an evaluation of another function');
  const before = historyOf(db);
  expect(await inProcess([...args, '--repeats', '4'])).toMatchObject({ code: 0, stderr: '' });
  expect(historyOf(db)).toEqual(before);
});

test('a formula stands for the layer that computes the same', async () => {
  const db = scored();
  const args = ['evaluate', 'tanh(x * v1)', '--save', '--repeats', '1', '--db', db];
  expect(await inProcess(args)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/1 evaluations under/),
  });
});

test.each([
  [['r1-0', '--save', '--steps', '3'], /--save evaluates under a protocol .* leave --steps out/],
  [['DyT', '--repeats', '3'], /--repeats says what to store, and goes with --save/],
  [['DyT', '--protocol', 'a'], /--protocol says what to store, and goes with --save/],
  [['r1-0', '--save', '--repeats', '0'], /--repeats is "0"; it must be a whole number/],
  [['r1-0', '--save', '--protocol', 'zz'], /There is no protocol "zz"/],
  [['BN-ReLU', '--save'], /"BN-ReLU" was not scored in .* under protocol/],
  [['x - x', '--save'], /"x - x" was not scored/],
])('%j is refused', async (args, says) => {
  const { code, stderr, stdout } = await inProcess(['evaluate', ...args, '--db', scored()]);
  expect(stderr).toMatch(says);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
});

test('another writer, or a protocol that means something else now, is an error', async () => {
  const db = scored();
  const writer = openStore(db);
  const args = ['evaluate', 'DyT', '--save', '--db'];
  const busy = { code: 1, stderr: expect.stringMatching(/Another evolayer is writing/) };
  expect(await inProcess([...args, db])).toMatchObject(busy);
  writer.close();
  const old = { code: 1, stderr: expect.stringMatching(/of another version of evolayer/) };
  expect(await inProcess([...args, scored(PROTOCOL, 'abc')])).toMatchObject(old);
});
