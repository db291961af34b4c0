import type { Batch } from '../src/eval/batches.ts';
import type { Engine, Session } from '../src/eval/engine.ts';
import { DECAYED, parameterLayout } from '../src/eval/network.ts';
import { pytorch } from '../src/export/pytorch.ts';
import { genomeOf } from '../src/graph/genome.ts';
import { structuralKey } from '../src/graph/keys.ts';
import { formatLayer } from '../src/graph/text.ts';
import type { TrainingCase } from './cases.ts';
import { encoded, type TorchPeer } from './peers/torch.ts';

/** Someone who trains one case, on its batches in turn. */
export interface Trainer {
  /** Milliseconds that it took to get ready. */
  readonly opening: number;
  /** Milliseconds, and the loss before each step. */
  steps(count: number, rate: number): Promise<{ ms: number; losses: readonly number[] }>;
  /** Milliseconds, and how many images are classified correctly in inference mode. */
  evaluate(images: Batch): Promise<{ ms: number; correct: number }>;
  close(): Promise<void>;
}

/** On an engine of ours. */
export class EngineTrainer implements Trainer {
  readonly opening: number;
  readonly #session: Session;
  readonly #batches: readonly Batch[];
  #next = 0;

  constructor({ network, layer, setup, parameters, batches }: TrainingCase, engine: Engine) {
    const start = performance.now();
    this.#session = engine.open(network, layer.layer, setup);
    this.#session.load(parameters);
    this.opening = performance.now() - start;
    this.#batches = batches;
  }

  async steps(count: number, rate: number) {
    const losses: number[] = [];
    const start = performance.now();
    for (let i = 0; i < count; i++) {
      const { images, labels } = this.#batches[this.#next++ % this.#batches.length]!;
      losses.push(this.#session.trainStep(images, labels, rate));
    }
    return { ms: performance.now() - start, losses };
  }

  async evaluate({ images, labels }: Batch) {
    const start = performance.now();
    const { correct } = this.#session.evaluate(images, labels);
    return { ms: performance.now() - start, correct };
  }

  async close() {
    this.#session.close();
  }
}

/** Images that PyTorch classifies at a time. */
const PART = 500;

/** `double` is eager, in double precision. */
export type TorchMode = 'eager' | 'compile' | 'double';

/** In PyTorch; the first step of a compiled one includes the compilation. */
export class TorchTrainer implements Trainer {
  readonly opening: number;
  readonly #peer: TorchPeer;
  readonly #id: string;

  static async open(training: TrainingCase, mode: TorchMode, peer: TorchPeer) {
    const { ms } = await peer.ask('open', { id: mode, mode, ...openRequest(training) });
    for (const batch of training.batches) await peer.ask('batch', { id: mode, ...sent(batch) });
    return new TorchTrainer(peer, mode, ms);
  }

  private constructor(peer: TorchPeer, id: string, opening: number) {
    this.#peer = peer;
    this.#id = id;
    this.opening = opening;
  }

  async steps(count: number, rate: number) {
    const { ms, losses } = await this.#peer.ask('steps', { id: this.#id, count, rate });
    return { ms, losses: losses.map((loss) => loss ?? Number.NaN) };
  }

  evaluate(images: Batch) {
    return this.#peer.ask('evaluate', { id: this.#id, part: PART, ...sent(images) });
  }

  /** ‖g‖ and ∂‖g‖/∂θ of the convolution weights, by double backward: what `GradientNorm` approximates. */
  async slope(batch: Batch): Promise<{ norm: number; ascent: Float64Array }> {
    const { norm, ascent } = await this.#peer.ask('slope', { id: this.#id, ...sent(batch) });
    return { norm, ascent: new Float64Array(new Uint8Array(Buffer.from(ascent, 'base64')).buffer) };
  }

  async close() {
    await this.#peer.ask('close', { id: this.#id });
  }
}

const sent = ({ images, labels }: Batch) => ({ images: encoded(images), labels: [...labels] });

function openRequest({ network, layer, setup, parameters }: TrainingCase) {
  return {
    network,
    setup,
    parameters: parameterLayout(network, layer.layer),
    values: encoded(parameters),
    decayed: [...DECAYED],
    layer: layer.peer.kind === 'exported' ? { ...layer.peer, source: sourceOf(layer) } : layer.peer,
  };
}

/** The PyTorch module that we export. */
function sourceOf({ layer, name }: TrainingCase['layer']): string {
  return pytorch(
    {
      layer,
      genome: genomeOf(layer),
      formula: formatLayer(layer),
      id: name,
      structuralKey: structuralKey(layer),
      zooName: null,
      found: null,
      scores: null,
      groups: 1,
      movingDecay: 0.9,
    },
    { className: 'Layer', layout: 'nchw' },
  );
}
