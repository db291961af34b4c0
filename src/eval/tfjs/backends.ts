import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { UserError } from '../../errors.ts';
import { mendWasm, mendWebGpu } from './kernels.ts';
import type { Tf } from './tensors.ts';

/** Where TensorFlow.js can compute, in the order in which `auto` tries. */
export const BACKENDS = ['tensorflow-gpu', 'tensorflow', 'webgpu', 'wasm', 'cpu'] as const;
export type Backend = (typeof BACKENDS)[number];

/** Why a backend cannot be used. */
export interface Obstacle {
  /**
   * `no package`: it was not installed. `no binary`: it was, but the step that fetches its binary did not run or
   * failed. `broken`: the binary is there and does not load. `no device`: it loads, and finds nothing to compute on.
   */
  readonly kind: 'no package' | 'no binary' | 'broken' | 'no device';
  /** The error of its own where it is broken. */
  readonly reason: string;
  /** A command, or what else mends it. */
  readonly mend: string;
}

export class BackendObstacle extends UserError {
  readonly obstacle: Obstacle;

  constructor(backend: Backend, obstacle: Obstacle) {
    const { reason, mend } = obstacle;
    super(`TensorFlow.js cannot compute on ${backend}: ${reason}; to mend it: ${mend}.`, 1);
    this.obstacle = obstacle;
  }
}

/** What a loader throws, which need not know under which name it was called. */
class Blocked extends Error {
  readonly obstacle: Obstacle;

  constructor(obstacle: Obstacle) {
    super(obstacle.reason);
    this.obstacle = obstacle;
  }
}

export interface LoadedBackend {
  readonly tf: Tf;
  /** See `Engine.numerics`: tfjs/BACKEND/VERSION, and the device where results depend on it. */
  readonly numerics: string;
}

/**
 * Settings that TensorFlow's library reads from the environment of the process; threads have copies, which it does
 * not see. One core for each worker, as with the native engine, and one order of summation, so that bits are the same
 * however many there are; memory of the GPU as it is needed, for several workers may share one; and no mere remarks.
 */
export function prepareEnvironment(environment: NodeJS.ProcessEnv): void {
  environment.TF_NUM_INTRAOP_THREADS ??= '1';
  environment.TF_NUM_INTEROP_THREADS ??= '1';
  environment.TF_FORCE_GPU_ALLOW_GROWTH ??= 'true';
  environment.TF_CPP_MIN_LOG_LEVEL ??= '2';
  environment.TF_ENABLE_ONEDNN_OPTS ??= '0';
}

/** True where each worker wants a process of its own: libraries that share what is not made for threads. */
export const wantsProcess = (numerics: string): boolean =>
  /^tfjs\/(tensorflow|tensorflow-gpu|webgpu)\//.test(numerics);

/** True where all workers compute on one device. */
export const isOnGpu = (numerics: string): boolean =>
  /^tfjs\/(tensorflow-gpu|webgpu)\//.test(numerics);

const require = createRequire(import.meta.url);
const CORE = '@tensorflow/tfjs-core';

/** The folder of a package, or null where it is not installed. */
function folderOf(name: string): string | null {
  try {
    return dirname(require.resolve(`${name}/package.json`));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return null;
    throw error;
  }
}

function wanted(name: string): string {
  const folder = folderOf(name);
  if (folder !== null) return folder;
  const kind = 'no package';
  throw new Blocked({ kind, reason: `${name} is not installed`, mend: installing(name) });
}

const installing = (...names: string[]) => `npm install --no-save ${names.join(' ')}`;

/** What `load` gives; an error of its own says that the package is broken. */
async function unbroken<T>(name: string, mend: string, load: () => T | Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if (error instanceof Blocked) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new Blocked({ kind: 'broken', reason: `${name}: ${firstLines(reason)}`, mend });
  }
}

const firstLines = (text: string): string =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .slice(0, 3)
    .join(' ');

/** The copy of TensorFlow.js that the package in a folder uses. */
const coreOf = (folder: string): Tf => createRequire(join(folder, 'package.json'))(CORE) as Tf;

async function start(tf: Tf, name: string): Promise<void> {
  // Without it, every operation is checked, and Node users are told of other packages.
  tf.enableProdMode();
  if (!(await tf.setBackend(name))) throw new Error(`the backend ${name} could not be initialised`);
  await tf.ready();
}

/** One that is JavaScript and WebAssembly alone. */
async function loadPortable(name: 'wasm' | 'cpu'): Promise<LoadedBackend> {
  const packageName = `@tensorflow/tfjs-backend-${name}`;
  const folder = wanted(packageName);
  const mend = `npm install --force ${packageName}`;
  return unbroken(packageName, mend, async () => {
    const tf = coreOf(folder);
    require(packageName);
    await start(tf, name);
    if (name === 'wasm') mendWasm(tf);
    return { tf, numerics: `tfjs/${name}/${tf.version_core}` };
  });
}

interface NodeBackend {
  readonly isUsingGpuDevice: boolean;
  readonly binding: { readonly TF_Version: string };
}

/** Node 23 has taken away what tfjs-node 4.22 calls. */
function restoreIsNullOrUndefined(): void {
  const util = require('node:util') as { isNullOrUndefined?: (a: unknown) => boolean };
  util.isNullOrUndefined ??= (a) => a === null || a === undefined;
}

/** RTLD_NODELETE, which Node has no name for. */
const NO_DELETE: Partial<Record<NodeJS.Platform, number>> = { linux: 0x1000, darwin: 0x80 };

/**
 * Loads addons for as long as the process lives. Node unloads those of a thread with the thread, and TensorFlow's
 * library leaves behind what then crashes the process at its end.
 */
function keepingLibraries(load: () => void): void {
  const { dlopen } = process;
  process.dlopen = (module: object, file: string, flags: number = constants.dlopen.RTLD_LAZY) =>
    dlopen(module, file, flags | (NO_DELETE[process.platform] ?? 0));
  try {
    load();
  } finally {
    process.dlopen = dlopen;
  }
}

function hasBinding(folder: string): boolean {
  const lib = join(folder, 'lib');
  return (
    existsSync(lib) &&
    readdirSync(lib).some((version) => existsSync(join(lib, version, 'tfjs_binding.node')))
  );
}

/** TensorFlow's own library, through the first of these packages that is installed. */
async function loadTensorFlow(
  backend: Backend,
  packages: readonly [string, ...string[]],
): Promise<LoadedBackend> {
  const name = packages.find((one) => folderOf(one) !== null) ?? packages[0];
  const folder = wanted(name);
  // npm may keep install scripts from running, which is not said by an error.
  const rebuild = `npm rebuild ${name} --foreground-scripts`;
  if (!hasBinding(folder))
    throw new Blocked({
      kind: 'no binary',
      reason: `${name} is installed without its binary, which its install script downloads`,
      mend: rebuild,
    });
  return unbroken(name, rebuild, async () => {
    restoreIsNullOrUndefined();
    const tf = coreOf(folder);
    keepingLibraries(() => require(name));
    await start(tf, 'tensorflow');
    const { isUsingGpuDevice, binding } = tf.backend() as unknown as NodeBackend;
    if (backend === 'tensorflow-gpu' && !isUsingGpuDevice)
      throw new Blocked({
        kind: 'no device',
        reason: `${name} finds no GPU`,
        mend: 'install the NVIDIA driver, CUDA 11 and cuDNN 8 for it, or use --backend tensorflow',
      });
    return { tf, numerics: `tfjs/${backend}/${binding.TF_Version}` };
  });
}

interface Gpu {
  requestAdapter(): Promise<{ info: { vendor: string; architecture: string } } | null>;
}

interface WebGpuPackage {
  readonly create: (flags: string[]) => Gpu;
  readonly globals: object;
}

const WEBGPU = 'webgpu';
const WEBGPU_BACKEND = '@tensorflow/tfjs-backend-webgpu';

async function loadWebGpu(): Promise<LoadedBackend> {
  const missing = [WEBGPU, WEBGPU_BACKEND].filter((name) => folderOf(name) === null);
  if (missing.length > 0) {
    const reason = `${missing.join(' and ')} ${missing.length > 1 ? 'are' : 'is'} not installed`;
    throw new Blocked({ kind: 'no package', reason, mend: installing(...missing) });
  }
  const mend = `npm install --no-save --force ${WEBGPU}`;
  const binary = join(wanted(WEBGPU), 'dist', `${process.platform}-${process.arch}`, 'dawn.node');
  if (process.platform !== 'darwin' && !existsSync(binary)) {
    const reason = `${WEBGPU} has no binary for ${process.platform} on ${process.arch}`;
    throw new Blocked({ kind: 'no binary', reason, mend });
  }
  return unbroken(WEBGPU, mend, async () => {
    const adapter = await adapterOf(require.resolve(WEBGPU));
    const tf = coreOf(wanted(WEBGPU_BACKEND));
    require(WEBGPU_BACKEND);
    await start(tf, 'webgpu');
    mendWebGpu(tf);
    return { tf, numerics: `tfjs/webgpu/${tf.version_core}/${adapter}` };
  });
}

/** Gives the program what browsers have, and names the GPU. */
async function adapterOf(file: string): Promise<string> {
  const { create, globals } = (await import(pathToFileURL(file).href)) as WebGpuPackage;
  const gpu = create([]);
  const adapter = await gpu.requestAdapter();
  if (!adapter)
    throw new Blocked({
      kind: 'no device',
      reason: `${WEBGPU} finds no GPU`,
      mend: 'install a Vulkan driver (on Debian: apt-get install libvulkan1 mesa-vulkan-drivers)',
    });
  Object.assign(globalThis, globals);
  Object.defineProperty(globalThis, 'navigator', { value: { gpu }, configurable: true });
  const { vendor, architecture } = adapter.info;
  return [vendor, architecture].filter((part) => part !== '').join('-') || 'unnamed';
}

const LOADERS: { readonly [Name in Backend]: () => Promise<LoadedBackend> } = {
  'tensorflow-gpu': () => loadTensorFlow('tensorflow-gpu', ['@tensorflow/tfjs-node-gpu']),
  tensorflow: () =>
    loadTensorFlow('tensorflow', ['@tensorflow/tfjs-node', '@tensorflow/tfjs-node-gpu']),
  webgpu: loadWebGpu,
  wasm: () => loadPortable('wasm'),
  cpu: () => loadPortable('cpu'),
};

/** Loads a backend, once in a thread: TensorFlow.js has one at a time. Throws a BackendObstacle where it cannot be used. */
export async function loadBackend(backend: Backend): Promise<LoadedBackend> {
  try {
    return await LOADERS[backend]();
  } catch (error) {
    if (error instanceof Blocked) throw new BackendObstacle(backend, error.obstacle);
    throw error;
  }
}
