import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { LayerGraph } from '../graph/graph.ts';
import { parseLayer } from '../graph/text.ts';
import type { Engine, TrainingSetup } from './engine.ts';
import { chooseEngine } from './engines.ts';
import { initialParameters } from './initial.ts';
import { nativeEngine } from './native/engine.ts';
import { NoAddon } from './native/machine.ts';
import type { Network } from './network.ts';
import { packageRoot } from './package-root.ts';
import { referenceEngine } from './reference.ts';
import { resnet } from './resnet.ts';
import { BACKENDS, type Backend, BackendObstacle, type Obstacle } from './tfjs/backends.ts';
import { tfjsEngine } from './tfjs/engine.ts';

/** `ready`, or what stands in the way; `wrong` for what runs and computes something else. */
export type Condition =
  | { readonly state: 'ready'; readonly numerics: string }
  | { readonly state: 'wrong'; readonly reason: string; readonly mend: string }
  | { readonly state: Obstacle['kind']; readonly reason: string; readonly mend: string };

export interface Diagnosis {
  readonly native: Condition;
  readonly tfjs: readonly (Condition & { readonly backend: Backend })[];
  /** What trains where nothing is said: the numerics of the engine. */
  readonly auto: string;
}

/** Tries every engine and backend on this machine with a step of training. */
export function diagnose(): Diagnosis {
  return {
    native: nativeCondition(),
    tfjs: BACKENDS.map((backend) => ({ backend, ...tfjsCondition(backend) })),
    auto: chooseEngine({}).engine.numerics,
  };
}

function nativeCondition(): Condition {
  try {
    return tried(nativeEngine(), REBUILD);
  } catch (error) {
    if (!(error instanceof NoAddon)) throw error;
    const built = existsSync(join(packageRoot(), 'build', 'Release', 'evolayer.node'));
    return { state: built ? 'broken' : 'no binary', reason: error.reason, mend: REBUILD };
  }
}

const REBUILD =
  'npm rebuild evolayer, or npm run build in its own folder, with make and a C++ compiler';

function tfjsCondition(backend: Backend): Condition {
  try {
    const engine = tfjsEngine(backend);
    try {
      return tried(engine, `--backend ${BACKENDS.find((other) => other !== backend)}`);
    } finally {
      engine.close();
    }
  } catch (error) {
    if (!(error instanceof BackendObstacle)) throw error;
    const { kind, reason, mend } = error.obstacle;
    return { state: kind, reason, mend };
  }
}

const SETUP: TrainingSetup = {
  ...{ batch: 4, groups: 2, movingDecay: 0.9, momentum: 0.9, weightDecay: 1e-4 },
};

/** How far a loss in single precision may be off after one step. */
const TOLERANCE = 1e-3;

function tried(engine: Engine, mend: string): Condition {
  const [got, want] = [engine, referenceEngine()].map(lossesOn);
  const error = Math.max(...want!.map((loss, i) => Math.abs(got![i]! / loss - 1)));
  if (error <= TOLERANCE) return { state: 'ready', numerics: engine.numerics };
  const reason = `a step of training has the losses ${got!.join(' and ')}, not ${want!.join(' and ')}`;
  return { state: 'wrong', reason, mend };
}

/** Before a step and after it. */
function lossesOn(engine: Engine): number[] {
  const [network, layer] = trial();
  const session = engine.open(network, layer, SETUP);
  try {
    session.load(initialParameters(network, layer, 'diagnosis'));
    const { height, width, channels } = network.image;
    const size = SETUP.batch * height * width * channels;
    const images = Float32Array.from({ length: size }, (_, i) => Math.sin(i * i));
    const labels = Uint8Array.from({ length: SETUP.batch }, (_, i) => i % network.classes);
    return [0, 1].map(() => session.trainStep(images, labels, 0.01));
  } finally {
    session.close();
  }
}

function trial(): [Network, LayerGraph] {
  const image = { height: 6, width: 6, channels: 1 };
  const spec = { name: 'diagnosis', image, classes: 3, width: 4, stages: [1, 1], expansion: 2 };
  return [resnet(spec), parseLayer('max(x / std[bwh](x), v1 * x) / std[whc/g](x)')];
}
