import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { type GenomeNode, liveGraph } from '../../src/graph/genome.ts';
import { probe, structuralKey } from '../../src/graph/keys.ts';

const FILE = new URL('golden/keys.json', import.meta.url);

/** Databases hold such keys: they stay what they are. */
interface Golden {
  readonly structural: string;
  /** Or the verdict. */
  readonly functional: string;
  readonly nodes: readonly GenomeNode[];
}

const golden: readonly Golden[] = JSON.parse(readFileSync(FILE, 'utf8'));

/** What `golden` says of its genomes, found anew by the built program. */
const SCRIPT = `
  const { parentPort, workerData } = require('node:worker_threads');
  Promise.all(['genome', 'keys'].map((name) => import(workerData.graph + name + '.js'))).then(
    ([{ liveGraph }, { probe, structuralKey }]) => {
      parentPort.postMessage(workerData.genomes.map((nodes) => {
        const layer = liveGraph({ nodes });
        const { functionalKey, verdict } = probe(layer);
        return { structural: structuralKey(layer), functional: functionalKey ?? verdict, nodes };
      }));
    },
  );
`;

const inWorker = (genomes: readonly (readonly GenomeNode[])[]): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const graph = new URL('../../dist/src/graph/', import.meta.url).href;
    const worker = new Worker(SCRIPT, { eval: true, workerData: { graph, genomes } });
    worker.once('message', resolve);
    worker.once('error', reject);
  });

describe(`the keys of ${golden.length} layers, on Node ${process.versions.node}`, () => {
  test('are those of the golden file', () => {
    expect(golden.length).toBeGreaterThan(300);
    expect(new Set(golden.map(({ functional }) => functional)).size).toBeGreaterThan(200);
    for (const { structural, functional, nodes } of golden) {
      const layer = liveGraph({ nodes });
      const result = probe(layer);
      const found = result.verdict === 'ok' ? result.functionalKey : result.verdict;
      expect([structuralKey(layer), found], JSON.stringify(nodes)).toEqual([
        structural,
        functional,
      ]);
    }
  });

  test('whatever was probed before', () => {
    for (const { functional, nodes } of golden.toReversed()) {
      const result = probe(liveGraph({ nodes }));
      expect(result.verdict === 'ok' ? result.functionalKey : result.verdict).toBe(functional);
    }
  });

  test('are the same in worker threads, two at a time', async () => {
    const genomes = golden.map(({ nodes }) => nodes);
    const [forward, backward] = await Promise.all([
      inWorker(genomes),
      inWorker(genomes.toReversed()),
    ]);
    expect(forward).toEqual(golden);
    expect(backward).toEqual(golden.toReversed());
  });
});
