import { createHash } from 'node:crypto';
import { randomStream } from '../../src/eval/random.ts';
import { trainingGraph } from '../../src/graph/adjoint.ts';
import { genomeOf, liveGraph } from '../../src/graph/genome.ts';
import { GraphBuilder, type LayerGraph, transplant } from '../../src/graph/graph.ts';
import { probe, structuralKey } from '../../src/graph/keys.ts';
import { JITTER, PROBE_CASES } from '../../src/graph/probe-inputs.ts';
import { Program } from '../../src/graph/program.ts';
import { simplify } from '../../src/graph/simplify.ts';
import { ZOO } from '../../src/graph/zoo.ts';
import { mutate, randomGenome } from '../../src/search/space.ts';
import type { Bench, Group } from '../context.ts';
import { processorMilliseconds } from '../measure.ts';
import type { Results } from '../results.ts';
import { figure, goals, missingContenders, table } from '../table.ts';

const ROUNDS = { full: 9, quick: 3 };
const COUNT = { full: 3000, quick: 1000 };
const SPACE = { genomeNodes: 10, primitiveWeights: {} };

const STRUCTURAL = 'structural keys';
const FUNCTIONAL = 'functional keys';
const PARTS = ['simplify', 'adjoint', 'compile', 'run', 'run disturbed', 'digest'] as const;
const RANDOM = 'random graphs';
const ACCEPTED = 'random graphs that are layers';
const MUTANTS = 'mutants of known layers that are layers';

/** Both keys, from live graphs as a search draws them: simplification and all. By the time of processors. */
export const keys: Group = {
  name: 'keys',
  doc: 'structural and functional keys of live graphs per second of a core, simplification included, and the parts of a functional key',
  run,
  report,
};

async function run(bench: Bench, results: Results): Promise<void> {
  const { quick } = bench.settings;
  const rounds = quick ? ROUNDS.quick : ROUNDS.full;
  const count = quick ? COUNT.quick : COUNT.full;
  const isLayer = (graph: LayerGraph) => probe(graph).verdict === 'ok';
  const cases: [string, () => LayerGraph[]][] = [
    [RANDOM, () => draw(count, randomGraph, () => true)],
    [ACCEPTED, () => draw(count, randomGraph, isLayer)],
    [MUTANTS, () => draw(count, mutant, isLayer)],
  ];
  for (const [name, graphs] of cases)
    if (bench.wants(name)) await bench.measure(results, name, contenders(graphs()), { rounds });
}

function draw(
  count: number,
  graph: (i: number) => LayerGraph,
  wanted: (graph: LayerGraph) => boolean,
): LayerGraph[] {
  const found: LayerGraph[] = [];
  for (let i = 0; found.length < count; i++) {
    const drawn = graph(i);
    if (wanted(drawn)) found.push(drawn);
  }
  return found;
}

const randomGraph = (i: number) => liveGraph(randomGenome(SPACE, randomStream('bench keys', i)));

function mutant(i: number): LayerGraph {
  const rng = randomStream('bench mutants', i);
  let genome = genomeOf(ZOO[i % ZOO.length]!.layer);
  for (let k = 0; k <= i % 4; k++) genome = mutate(genome, SPACE, rng);
  return liveGraph(genome);
}

/** A graph that was simplified is known as such; a copy is not. */
function fresh(graph: LayerGraph): LayerGraph {
  const builder = new GraphBuilder();
  return builder.build({ out: transplant(graph, builder)[graph.outputs.out]! });
}

function contenders(graphs: readonly LayerGraph[]) {
  const perSecond = (name: string, key: (graph: LayerGraph) => unknown) => ({
    name,
    unit: 'keys/s',
    sample: () => {
      const copies = graphs.map(fresh);
      const taken = processorMilliseconds(() => {
        for (const graph of copies) key(graph);
      });
      return (1000 * graphs.length) / taken;
    },
  });
  return [perSecond(STRUCTURAL, structuralKey), perSecond(FUNCTIONAL, probe), ...parts(graphs)];
}

/** What the parts of a functional key take, each by itself, in microseconds. */
function parts(graphs: readonly LayerGraph[]) {
  const simple = graphs.map(simplify);
  const adjoint = simple.map(trainingGraph);
  const shapes = [...new Set(PROBE_CASES.map(({ shape }) => shape))];
  const compiled = () =>
    adjoint.slice(0, 500).map((graph) => shapes.map((s) => new Program(graph, s)));
  const programs = compiled();
  const digits = new Float64Array(832);
  const disturbance = { factors: JITTER, stride: 37 };
  const runAll = (how?: typeof disturbance) => {
    for (const both of programs)
      for (const { shape, inputs } of PROBE_CASES) {
        const program = both[shapes.indexOf(shape)]!;
        program.load(inputs);
        program.run(how);
      }
  };
  const work: Record<(typeof PARTS)[number], [number, () => unknown]> = {
    simplify: [graphs.length, () => graphs.map(fresh).map(simplify)],
    adjoint: [graphs.length, () => simple.map(trainingGraph)],
    compile: [programs.length, compiled],
    run: [programs.length, () => runAll()],
    'run disturbed': [programs.length, () => runAll(disturbance)],
    digest: [
      graphs.length,
      () => graphs.map(() => createHash('sha256').update(digits).digest('hex')),
    ],
  };
  return PARTS.map((name) => {
    const [count, part] = work[name];
    const sample = () => (1000 * processorMilliseconds(part)) / count;
    return { name, unit: 'µs', sample };
  });
}

function report(results: Results): string {
  const columns = [STRUCTURAL, FUNCTIONAL, ...PARTS];
  const rows = results.cases.map((name) => [
    name,
    ...columns.map((column) => figure(results.median(name, column))),
  ]);
  const rate = (what: string, name: string, wanted: number) => ({
    ...{ what: `${what}, ${name}`, measured: results.median(name, what) },
    ...{ wanted: ['≥', wanted] as const, show: figure },
  });
  const wanted = results.cases.flatMap((name) => [
    rate(STRUCTURAL, name, 20_000),
    rate(FUNCTIONAL, name, 5_000),
  ]);
  return [
    table(['keys/s; parts in µs', ...columns], rows),
    goals(wanted),
    ...missingContenders(results),
  ].join('\n');
}
