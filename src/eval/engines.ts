import { UserError } from '../errors.ts';
import type { Engine } from './engine.ts';
import { nativeEngine, nativeNumerics } from './native/engine.ts';
import { NoAddon, variants } from './native/machine.ts';
import { BACKENDS, type Backend, BackendObstacle } from './tfjs/backends.ts';
import { tfjsEngine } from './tfjs/engine.ts';

export const ENGINES = ['auto', 'native', 'tfjs'] as const;
export const BACKEND_CHOICES = ['auto', ...BACKENDS] as const;

export interface EngineChoice {
  readonly engine?: (typeof ENGINES)[number];
  /** Of TensorFlow.js. */
  readonly backend?: (typeof BACKEND_CHOICES)[number];
}

/** An engine, and what its user should know of how it was chosen. */
export interface ChosenEngine {
  readonly engine: Engine;
  readonly notes: readonly string[];
}

/**
 * The engine asked for. `auto` is the native one, and TensorFlow.js where that was not built or where a backend is
 * named; the backend `auto` is the first that can be used. Throws a UserError where what is asked for cannot be had.
 */
export function chooseEngine({ engine = 'auto', backend = 'auto' }: EngineChoice): ChosenEngine {
  if (engine === 'native' && backend !== 'auto')
    throw new UserError(
      `--backend is ${backend}, a backend of TensorFlow.js; it goes with --engine tfjs.`,
    );
  if (engine === 'tfjs' || backend !== 'auto') return onTfjs(backend);
  try {
    return { engine: nativeEngine(), notes: [] };
  } catch (error) {
    if (engine === 'native' || !(error instanceof NoAddon)) throw error;
    const { engine: other, notes } = onTfjs('auto');
    const told = `TensorFlow.js takes its place: ${other.numerics}, which is slower.`;
    return { engine: other, notes: [error.message, told, ...notes] };
  }
}

function onTfjs(backend: Backend | 'auto'): ChosenEngine {
  if (backend !== 'auto') return { engine: tfjsEngine(backend), notes: [] };
  const notes: string[] = [];
  for (const one of BACKENDS) {
    try {
      const engine = tfjsEngine(one);
      if (!isSoftware(engine.numerics)) return { engine, notes };
      engine.close();
    } catch (error) {
      if (!(error instanceof BackendObstacle)) throw error;
      // That something optional is absent is normal; that it is broken is not.
      if (error.obstacle.kind === 'broken') notes.push(error.message);
    }
  }
  throw new Error('internal: no backend of TensorFlow.js can be used, not even cpu');
}

/** WebGPU on the processor, which is slower than wasm; only who asks for it wants it. */
const isSoftware = (numerics: string): boolean => /swiftshader|llvmpipe/i.test(numerics);

/** The engine with the given numerics. Throws a UserError where this machine, or this version, lacks it. */
export function engineWith(numerics: string): Engine {
  const backend = backendIn(numerics);
  if (!backend) {
    const variant = variants().find((name) => nativeNumerics(name) === numerics);
    if (variant) return nativeEngine(variant);
    throw lacking(numerics, numericsLike(numerics));
  }
  const engine = tfjsEngine(backend);
  if (engine.numerics === numerics) return engine;
  engine.close();
  throw lacking(numerics, [engine.numerics]);
}

const lacking = (wanted: string, here: readonly string[]): UserError =>
  new UserError(
    `The arithmetic ${wanted} cannot be had with this version on this machine, which have ${here.join(', ')}; their scores do not compare.`,
    1,
  );

/** The numerics of the same engine and backend that this machine has. Throws a UserError where it has none. */
export function numericsLike(numerics: string): readonly string[] {
  const backend = backendIn(numerics);
  if (!backend) return variants().map(nativeNumerics);
  const engine = tfjsEngine(backend);
  engine.close();
  return [engine.numerics];
}

function backendIn(numerics: string): Backend | undefined {
  const [engine, backend] = numerics.split('/');
  return engine === 'tfjs' ? BACKENDS.find((name) => name === backend) : undefined;
}
