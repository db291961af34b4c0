// Makes what the tests of TensorFlow.js on TensorFlow's library and on WebGPU run on, without a network but for the
// package registries: in .venv-exports/tfjs, the packages without their install scripts, and the binding of
// tfjs-node built against the library that the Python package tensorflow-cpu carries.
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { nodeGyp } from './node-gyp.js';

const FOLDER = resolve('.venv-exports', 'tfjs');
/** For $NODE_PATH. */
export const MODULES = join(FOLDER, 'node_modules');
const STAMP = join(FOLDER, 'installed.json');

const { devDependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
const version = devDependencies['@tensorflow/tfjs'].replace('^', '');
const wanted = {
  '@tensorflow/tfjs-node': version,
  '@tensorflow/tfjs-backend-webgpu': version,
  webgpu: '0.6.2',
};
const stamp = JSON.stringify({ wanted, node: process.versions.modules }, null, 2);

export function installTfjs() {
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === stamp) return;
  console.log(`Installing TensorFlow.js for TensorFlow's library and WebGPU into ${FOLDER}`);
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, 'package.json'), '{"private":true}\n');
  const names = Object.entries(wanted).map(([name, version]) => `${name}@${version}`);
  const flags = ['--no-audit', '--no-fund', '--ignore-scripts', '--prefix', FOLDER];
  const { status } = spawnSync('npm', ['install', ...flags, ...names], {
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (status !== 0) throw new Error('npm install failed');
  buildBinding(join(MODULES, '@tensorflow', 'tfjs-node'));
  writeFileSync(STAMP, stamp);
}

/** The folder of the Python package, without importing it, which takes seconds. */
function tensorflowFolder() {
  const code =
    'import importlib.util as u; print(u.find_spec("tensorflow").submodule_search_locations[0])';
  const python = join('.venv-exports', 'bin', 'python');
  const { stdout, stderr, status } = spawnSync(python, ['-c', code], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${python} has no tensorflow: ${stderr}`);
  return realpathSync(stdout.trim());
}

/** tfjs-node looks for libtensorflow in deps/; the wheel has it under another name, and newer. */
function buildBinding(folder) {
  const tensorflow = tensorflowFolder();
  const [core, framework] = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'];
  mkdirSync(join(folder, 'deps', 'lib'), { recursive: true });
  const links = {
    include: join(tensorflow, 'include'),
    'lib/libtensorflow.so': join(tensorflow, core),
    [`lib/${core}`]: join(tensorflow, core),
    'lib/libtensorflow_framework.so': join(tensorflow, framework),
    [`lib/${framework}`]: join(tensorflow, framework),
  };
  for (const [name, target] of Object.entries(links))
    symlinkSync(target, join(folder, 'deps', ...name.split('/')));
  const defines = {
    module_name: 'tfjs_binding',
    module_path: './lib/napi-v8',
    napi_build_version: 8,
  };
  // Most ways to install Node bring its headers along; node-gyp would download them.
  const prefix = dirname(dirname(process.execPath));
  const headers = existsSync(join(prefix, 'include', 'node')) ? [`--nodedir=${prefix}`] : [];
  const { status, output } = nodeGyp(
    [
      'rebuild',
      ...headers,
      '--',
      ...Object.entries(defines).map(([name, value]) => `-D${name}=${value}`),
    ],
    folder,
  );
  if (status !== 0) throw new Error(`the binding of tfjs-node was not built:\n${output}`);
}
