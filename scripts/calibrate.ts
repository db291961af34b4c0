/*
 * Scores layers of the zoo under a protocol, over several seeds: what each anchor tells apart, what the
 * quality test may ask for, and what an evaluation costs. The presets' thresholds come from here.
 *
 *   npx tsx scripts/calibrate.ts --seeds 4
 *   npx tsx scripts/calibrate.ts --layers BN-ReLU,ReLU --anchor mini-deep --steps 500
 */
import { Command } from 'commander';
import { mean, sampleStandardDeviation } from 'simple-statistics';
import { loadDataset } from '../src/eval/data.ts';
import { evaluateLayer } from '../src/eval/evaluate.ts';
import { nativeEngine } from '../src/eval/native/engine.ts';
import type { Outcome } from '../src/eval/outcome.ts';
import { overridesFromFlags, PROTOCOL_FLAGS, resolveProtocol } from '../src/eval/presets.ts';
import type { Protocol } from '../src/eval/protocol.ts';
import { parseLayer } from '../src/graph/text.ts';
import { ZOO, type ZooLayer } from '../src/graph/zoo.ts';

const command = new Command('calibrate')
  .option('--preset <name>', 'preset of the protocol', 'quick')
  .option('--seeds <n>', 'evaluations of each layer', '4')
  .option('--layers <names>', 'names of the zoo or formulas, with commas between them');
for (const { flag, doc } of Object.values(PROTOCOL_FLAGS)) command.option(flag, doc);
command.option('--no-flip', 'leave images as they are').parse();

const options = command.opts();
const flip = command.getOptionValueSource('flip') === 'cli' ? options.flip : undefined;
const engine = nativeEngine();
const protocol = resolveProtocol(
  options.preset,
  overridesFromFlags({ ...options, flip }),
  engine.numerics,
);
const dataset = loadDataset(protocol.dataset.name, { pool: protocol.dataset.pool });

console.log(JSON.stringify(protocol));
const header = protocol.anchors.map((name) => name.padEnd(30)).join('');
console.log(`${''.padEnd(14)}${header}(quality test → final accuracy, spread over seeds, seconds)`);
for (const layer of layersOf(options.layers)) {
  const cells = protocol.anchors.map((anchor) => describe(layer, anchor).padEnd(30));
  console.log(`${layer.name.slice(0, 13).padEnd(14)}${cells.join('')}`);
}

function layersOf(names: string | undefined): readonly Pick<ZooLayer, 'name' | 'layer'>[] {
  const known = (name: string) => ZOO.find((entry) => entry.name === name);
  return names?.split(',').map((name) => known(name) ?? { name, layer: parseLayer(name) }) ?? ZOO;
}

/** All seeds of one layer on one anchor, in short. */
function describe({ name, layer }: Pick<ZooLayer, 'name' | 'layer'>, anchor: string): string {
  const seeds = Array.from({ length: Number(options.seeds) }, (_, i) => `${name}/${i}`);
  const early = seeds.map((seed) =>
    score(layer, seed, withTest(anchor, protocol.quality.steps, 1)),
  );
  const late = seeds.map((seed) => score(layer, seed, withTest(anchor, 0, 0)));
  const ended = late.filter(({ accuracy }) => accuracy !== null);
  const lost = late.length > ended.length ? ` ${late.length - ended.length}×diverged` : '';
  return `${summary(early)} → ${summary(late)} ${mean(late.map(({ seconds }) => seconds)).toFixed(2)}s${lost}`;
}

/** The protocol on one anchor; a test that asks for 1 ends there and tells what was reached. */
function withTest(anchor: string, steps: number, minAccuracy: number): Protocol {
  const quality = { ...protocol.quality, steps, minAccuracy: { [anchor]: minAccuracy } };
  return { ...protocol, anchors: [anchor], quality };
}

function score(layer: ZooLayer['layer'], seed: string, protocol: Protocol) {
  const start = performance.now();
  const outcome = evaluateLayer({ layer, protocol, seed, dataset, engine });
  return { accuracy: accuracyOf(outcome), seconds: (performance.now() - start) / 1000 };
}

function accuracyOf(outcome: Outcome): number | null {
  if (outcome.outcome === 'evaluated') return outcome.perAnchor[0]!.accuracy;
  return outcome.outcome === 'low-quality' ? outcome.accuracy : null;
}

function summary(scores: readonly { readonly accuracy: number | null }[]): string {
  const percents = scores.flatMap(({ accuracy }) => (accuracy === null ? [] : [100 * accuracy]));
  if (percents.length === 0) return '–';
  const spread = percents.length > 1 ? sampleStandardDeviation(percents) : 0;
  return `${mean(percents).toFixed(1)} (${spread.toFixed(1)})`;
}
