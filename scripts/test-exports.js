// Runs exported modules in their frameworks, in a virtual environment that is made once from pinned packages.
// Arguments go to pytest.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = '.venv-exports';
const PYTHON = join(FOLDER, 'bin', 'python');
const STAMP = join(FOLDER, 'installed.txt');
const wanted = ['requirements.txt', 'requirements-exports.txt']
  .map((file) => readFileSync(file, 'utf8'))
  .join('');

if (!existsSync(STAMP) || readFileSync(STAMP, 'utf8') !== wanted) {
  run('python3', ['-m', 'venv', '--clear', FOLDER]);
  run(PYTHON, ['-m', 'pip', 'install', '-q', '-r', 'requirements-exports.txt']);
  writeFileSync(STAMP, wanted);
}

const suites = [
  { file: 'test_pytorch.py' },
  { file: 'test_flax.py' },
  ...['torch', 'jax', 'tensorflow'].map((KERAS_BACKEND) => ({
    file: 'test_keras.py',
    env: { KERAS_BACKEND },
  })),
];
let failed = false;
for (const { file, env } of suites) {
  console.log(`\n== ${file}${env ? ` on ${env.KERAS_BACKEND}` : ''}`);
  const report = process.env.EVOLAYER_REPORTS
    ? [
        `--junitxml=${join(process.env.EVOLAYER_REPORTS, `${file}-${env?.KERAS_BACKEND ?? ''}.xml`)}`,
      ]
    : [];
  const args = ['-m', 'pytest', '-q', '-p', 'no:cacheprovider', ...report];
  const { status } = spawnSync(
    PYTHON,
    [...args, join('test/export', file), ...process.argv.slice(2)],
    {
      stdio: 'inherit',
      // Tensors are small.
      env: { OMP_NUM_THREADS: '1', TF_CPP_MIN_LOG_LEVEL: '3', ...process.env, ...env },
    },
  );
  failed ||= status !== 0;
}
process.exitCode = failed ? 1 : 0;

function run(command, args) {
  const { status } = spawnSync(command, args, { stdio: 'inherit' });
  if (status !== 0) process.exit(1);
}
