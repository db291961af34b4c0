// Makes the Python that has the frameworks: .venv-exports, once for each change of the pinned packages.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = '.venv-exports';
export const PYTHON = join(FOLDER, 'bin', 'python');
const STAMP = join(FOLDER, 'installed.txt');
const wanted = ['requirements.txt', 'requirements-exports.txt']
  .map((file) => readFileSync(file, 'utf8'))
  .join('');

if (!existsSync(STAMP) || readFileSync(STAMP, 'utf8') !== wanted) {
  console.log(
    `Installing PyTorch, JAX, Flax, Keras, TensorFlow and ONNX Runtime (3 GB) into ${FOLDER}`,
  );
  // A folder that works keeps what is as pinned, and what else was put there.
  if (!works()) run('python3', ['-m', 'venv', '--clear', FOLDER]);
  run(PYTHON, ['-m', 'pip', 'install', '-q', '-r', 'requirements-exports.txt']);
  writeFileSync(STAMP, wanted);
}

function works() {
  return spawnSync(PYTHON, ['-m', 'pip', '--version'], { stdio: 'ignore' }).status === 0;
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit' });
  if (error) console.error(`${command} does not run: ${error.message}`);
  if (status !== 0) process.exit(1);
}
