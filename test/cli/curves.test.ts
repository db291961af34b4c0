import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Candidate } from '../../db/candidates.ts';
import { openStore, type Store } from '../../db/store.ts';
import { BatchStream } from '../../src/eval/batches.ts';
import { loadDataset } from '../../src/eval/data.ts';
import { engineWith } from '../../src/eval/engines.ts';
import { initialParameters } from '../../src/eval/initial.ts';
import { evaluationSeed, parseProtocol } from '../../src/eval/protocol.ts';
import { trainingNetworks, trainingSetup } from '../../src/eval/protocol-networks.ts';
import { learningRateAt } from '../../src/eval/schedule.ts';
import { layerOf } from '../../src/graph/genome.ts';
import type { Comparison, DescribedLayer } from '../../src/web/server/answers/layers.ts';
import { answerOf, dashboard } from '../web/dashboard.ts';
import { evolayer, inProcess, temporaryFolder } from './process.ts';

/* Searches that train for 70 steps, which no 32 stretches divide, with a quality test in the middle of one. */

const STEPS = 70;
const ANCHORS = ['mini-deep', 'mini-wide'];
const SEARCH = [
  ...['search', '--anchor', ANCHORS.join(), '--pool', '7', '--batch', '4', '--pad', '0'],
  ...['--steps', String(STEPS), '--validation', '20', '--quality-steps', '33'],
  ...['--min-accuracy', '0', '--seed', '7', '--proposals', '60', '--lookahead', '4'],
  ...['--baseline', 'BN-ReLU,EvoNorm-S0', '--warm-start', 'SiLU', '--audit', '1'],
];
let folder: string;
const dbs: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'evolayer-'));
  for (const workers of [1, 2]) {
    const db = join(folder, `${workers}.db`);
    const ended = await evolayer([...SEARCH, '--workers', String(workers), '--db', db]);
    expect(ended).toMatchObject({ code: 0 });
    dbs.push(db);
  }
}, 90_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function asking<T>(db: string, ask: (store: Store) => T): T {
  const store = openStore(db, { readonly: true });
  try {
    return ask(store);
  } finally {
    store.close();
  }
}

function querying(db: string, sql: string): unknown[] {
  const database = new Database(db);
  try {
    const statement = database.prepare(sql);
    return statement.reader ? statement.all() : [statement.run().changes];
  } finally {
    database.close();
  }
}

async function copyOf(db: string): Promise<string> {
  const copy = join(temporaryFolder(), 'copy.db');
  expect((await inProcess(['export-run', '1', '-o', copy, '--db', db])).code).toBe(0);
  return copy;
}

const shown = async (layer: string, db: string) =>
  JSON.parse((await inProcess(['show', layer, '--json', '--db', db])).stdout);

const curvesIn = ({ evaluations }: DescribedLayer['dossier']) =>
  evaluations.map(({ perAnchor }) => perAnchor.map(({ curve }) => curve));

function baselineIn(store: Store): Candidate {
  const isIt = ({ origin }: Candidate) => origin.kind === 'baseline' && origin.name === 'BN-ReLU';
  return [...store.candidates.ofRun(1)].find(isIt)!;
}

/** The losses of the training of BN-ReLU on each anchor, one step after the other. */
function lossesOf(db: string, repeat: number): number[][] {
  return asking(db, (store) => {
    const { genome, functionalKey } = baselineIn(store);
    const protocol = parseProtocol(store.runs.protocol(store.protocols.ofRun(1)!));
    const dataset = loadDataset(protocol.dataset.name, protocol.dataset);
    const { train: split, image, mean, std } = dataset;
    const layer = layerOf(genome);
    return trainingNetworks(protocol, dataset).map((network) => {
      const seed = `${evaluationSeed(protocol, functionalKey!, repeat)}/${network.name}`;
      const session = engineWith(protocol.numerics).open(network, layer, trainingSetup(protocol));
      session.load(initialParameters(network, layer, seed));
      const source = { split, image, black: -mean / std };
      const batches = new BatchStream(source, protocol.batch, protocol.augmentation, seed);
      const losses = Array.from({ length: STEPS }, (_, step) => {
        const { images, labels } = batches.next();
        const rate = protocol.optimiser.learningRate;
        return session.trainStep(
          images,
          labels,
          learningRateAt(protocol.schedule, rate, step, STEPS),
        );
      });
      session.close();
      return losses;
    });
  });
}

/** As docs/json.md says. */
const condensed = (losses: readonly number[]): number[] =>
  Array.from({ length: 32 }, (_, i) => {
    const isIn = (_: number, step: number) =>
      step >= Math.floor((i * STEPS) / 32) && step < Math.floor(((i + 1) * STEPS) / 32);
    const part = losses.filter(isIn);
    return Number((part.reduce((sum, loss) => sum + loss, 0) / part.length).toPrecision(4));
  });

test('a search keeps the losses of the very trainings that it did', async () => {
  const expected = lossesOf(dbs[0]!, 0).map(condensed);
  expect(expected.flat().every(Number.isFinite)).toBe(true);
  const dossier = await shown('BN-ReLU', dbs[0]!);
  expect(curvesIn(dossier)).toEqual([expected]);
  expect(dossier.evaluations[0].perAnchor.map(({ anchor }: { anchor: string }) => anchor)).toEqual(
    ANCHORS,
  );
});

test('one worker or two keep the same, byte for byte, and nothing of it with the candidates', () => {
  const rows = `SELECT functional_key, repeat, position, hex(curve) AS curve FROM evaluations
    ORDER BY functional_key, repeat, position`;
  const [one, two] = dbs.map((db) => querying(db, rows));
  expect(two).toEqual(one);
  expect(one!.length).toBeGreaterThan(6);
  for (const { curve } of one as { curve: string }[]) expect(curve).toHaveLength(2 * 4 * 32);
  for (const table of ['candidates', 'rejections', 'audits'])
    expect(querying(dbs[0]!, `SELECT 1 FROM ${table} WHERE numbers LIKE '%curve%'`)).toEqual([]);
});

test('a copy of a run has them, and is sound', async () => {
  const copy = await copyOf(dbs[0]!);
  expect(curvesIn(await shown('EvoNorm-S0', copy))).toEqual(
    curvesIn(await shown('EvoNorm-S0', dbs[0]!)),
  );
  expect((await inProcess(['runs', '--check', '--db', copy])).code).toBe(0);
});

describe('the dashboard', () => {
  const layerAt = (url: string, layer: string) =>
    answerOf<DescribedLayer>(url, `/api/layer?${new URLSearchParams({ layer })}`);

  test('shows a layer beside known layers, and several evaluations by their means', async () => {
    const db = await copyOf(dbs[0]!);
    const save = ['evaluate', 'BN-ReLU', '--save', '--repeats', '2', '--db', db];
    expect((await inProcess(save)).code).toBe(0);
    const { url, errors } = await dashboard(db);
    const { dossier, curves } = await layerAt(url, 'BN-ReLU');
    const expected = [0, 1].map((repeat) => lossesOf(db, repeat).map(condensed));
    expect(curvesIn(dossier)).toEqual(expected);
    const other = curvesIn(await shown('EvoNorm-S0', db))[0]!;
    expect(curves).toHaveLength(1);
    expect(curves[0]!.protocol).toBe(dossier.scores[0]!.protocol);
    for (const [i, { anchor, steps, curves: drawn }] of curves[0]!.anchors.entries()) {
      expect([anchor, steps]).toEqual([ANCHORS[i], STEPS]);
      const names = drawn.map(({ layer, evaluations }) => [layer, evaluations]);
      expect(names).toEqual([
        ['this layer', 2],
        ['EvoNorm-S0', 1],
      ]);
      for (const [k, loss] of drawn[0]!.losses.entries())
        expect(loss).toBeCloseTo((expected[0]![i]![k]! + expected[1]![i]![k]!) / 2, 12);
      expect(drawn[1]!.losses).toEqual(other[i]);
    }
    const layers = ['EvoNorm-S0', 'tanh(x / std[wh](x)) + tanh(x)', 'BN-ReLU'];
    const query = new URLSearchParams(layers.map((layer): [string, string] => ['layer', layer]));
    const compared = await answerOf<Comparison>(url, `/api/compare?${query}`);
    for (const [i, { curves: drawn }] of compared.curves.entries()) {
      expect(drawn.map(({ layer }) => layer)).toEqual(['EvoNorm-S0', 'BN-ReLU']);
      expect(drawn[1]!.losses).toEqual(curves[0]!.anchors[i]!.curves[0]!.losses);
    }
    expect(compared.curves).toHaveLength(2);
    const text = (await inProcess(['show', 'BN-ReLU', '--db', db])).stdout;
    expect(text).toMatch(
      /training losses\n.*\n.*mini-deep +2 +\d\.\d\d +\d\.\d\d +[▁▂▃▄▅▆▇█]{32}\n/,
    );
    expect(errors).toEqual([]);
  });

  test('has none of what was evaluated before they were kept, and adds those of later evaluations', async () => {
    const db = await copyOf(dbs[0]!);
    querying(db, 'UPDATE evaluations SET curve = NULL');
    const before = await dashboard(db);
    const { dossier, curves } = await layerAt(before.url, 'BN-ReLU');
    expect(curves).toEqual([]);
    expect(dossier.evaluations).toHaveLength(1);
    expect(JSON.stringify(dossier)).not.toContain('"curve"');
    expect((await inProcess(['show', 'BN-ReLU', '--db', db])).stdout).not.toContain('losses');
    const save = ['evaluate', 'BN-ReLU', '--save', '--repeats', '2', '--db', db];
    expect((await inProcess(save)).code).toBe(0);
    const later = await layerAt(before.url, 'BN-ReLU');
    const drawn = later.curves[0]!.anchors.map((one) => one.curves);
    expect(drawn).toEqual(
      lossesOf(db, 1).map((losses) => [
        { layer: 'this layer', evaluations: 1, losses: condensed(losses) },
      ]),
    );
    expect(before.errors).toEqual([]);
  });
});

test('evaluate tells the losses of the training that it does', async () => {
  const asked = [
    ...[
      'evaluate',
      'BN-ReLU',
      '--anchor',
      'mini-deep',
      '--pool',
      '7',
      '--batch',
      '4',
      '--pad',
      '0',
    ],
    ...['--steps', '3', '--validation', '20', '--quality-steps', '0', '--json'],
  ];
  const [score] = JSON.parse((await inProcess(asked)).stdout).perAnchor;
  expect(score.curve).toHaveLength(3);
  for (const loss of score.curve) expect(loss).toBeGreaterThan(0);
});
