import type { Engine } from '../src/eval/engine.ts';
import type { Variant } from '../src/eval/native/machine.ts';
import { BACKENDS, type Backend, BackendObstacle } from '../src/eval/tfjs/backends.ts';
import { tfjsEngine } from '../src/eval/tfjs/engine.ts';
import { NETWORKS } from './cases.ts';
import { type BenchLayer, randomLayers } from './layers.ts';
import { alternate, type Contender, type Missing, type Rounds } from './measure.ts';
import { TorchPeer } from './peers/torch.ts';
import type { Results } from './results.ts';

/** A part of the benchmark. */
export interface Group {
  readonly name: string;
  readonly doc: string;
  readonly run: (bench: Bench, results: Results) => Promise<void>;
  /** The results in words. */
  readonly report: (results: Results) => string;
}

export interface Settings {
  readonly quick: boolean;
  /** Cases whose names contain one of these; all where there are none. */
  readonly cases: readonly string[];
  /** Contenders to leave out. */
  readonly without: readonly string[];
}

/** What the groups share during one run. */
export class Bench {
  readonly settings: Settings;
  readonly engine: Engine;
  readonly variant: Variant;
  readonly #say: (line: string) => void;
  #peer: Promise<TorchPeer | { readonly missing: string }> | undefined;
  #tfjs: ReturnType<Bench['tfjs']> | undefined;
  #candidates: Promise<BenchLayer[]> | undefined;

  constructor(
    settings: Settings,
    machine: { engine: Engine; variant: Variant },
    say: (line: string) => void,
  ) {
    this.settings = settings;
    this.engine = machine.engine;
    this.variant = machine.variant;
    this.#say = say;
  }

  wants(name: string): boolean {
    const { cases } = this.settings;
    return cases.length === 0 || cases.some((part) => name.includes(part));
  }

  /** Takes samples of a case, and adds them to the results. */
  async measure(
    results: Results,
    name: string,
    contenders: readonly (Contender | Missing)[],
    rounds: Rounds,
  ): Promise<void> {
    this.#say(`${results.group}: ${name}`);
    const left = contenders.map((contender) =>
      this.settings.without.includes(contender.name)
        ? { name: contender.name, unit: contender.unit, missing: 'left out with --without' }
        : contender,
    );
    results.all.push(...(await alternate({ group: results.group, case: name }, left, rounds)));
  }

  /** PyTorch, started when it is first wanted. */
  torch(): Promise<TorchPeer | { readonly missing: string }> {
    this.#peer ??= TorchPeer.start();
    return this.#peer;
  }

  /** The engine on each backend of TensorFlow.js that is worth timing, started when it is first wanted. */
  tfjs(): readonly (readonly [Backend, Engine | { readonly missing: string }])[] {
    this.#tfjs ??= BACKENDS.filter((backend) => backend !== 'cpu').map(
      (backend) => [backend, tfjsOn(backend)] as const,
    );
    return this.#tfjs;
  }

  /** Which PyTorch took part. */
  async versions(): Promise<string[]> {
    const torch = await this.torch();
    return 'missing' in torch ? [] : [torch.version];
  }

  /** Eight random layers; two in a quick run, the first two of the eight. */
  candidates(): Promise<BenchLayer[]> {
    const count = this.settings.quick ? 2 : 8;
    // The larger images of a network train as the smaller ones do.
    const networks = NETWORKS.slice(0, -1);
    this.#candidates ??= randomLayers(count, networks, this.engine);
    return this.#candidates;
  }

  async close(): Promise<void> {
    const peer = await this.#peer;
    if (peer && !('missing' in peer)) await peer.close();
  }
}

function tfjsOn(backend: Backend): Engine | { readonly missing: string } {
  try {
    return tfjsEngine(backend);
  } catch (error) {
    if (!(error instanceof BackendObstacle)) throw error;
    return { missing: error.obstacle.reason };
  }
}
