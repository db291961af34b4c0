// Runs exported layers in their frameworks, as many suites at a time as there are cores, the files of layers
// that Node runs, ONNX models in Netron (in Chromium), and what is held to PyTorch besides. Arguments go to pytest.
// With $EVOLAYER_REPORTS, each suite leaves a report there.
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { browserPath, NO_BROWSER } from './browser.js';
import { PYTHON } from './install-python.js';

const reports = process.env.EVOLAYER_REPORTS;
const browser = browserPath();
if (browser === undefined) {
  process.stderr.write(`${NO_BROWSER}\n`);
  process.exit(1);
}

/** Tensors are small: one thread for each suite, and nothing but warnings on the terminal. */
const THREADS = { OMP_NUM_THREADS: '1', TF_NUM_INTRAOP_THREADS: '1', TF_NUM_INTEROP_THREADS: '1' };
const QUIET = { TF_CPP_MIN_LOG_LEVEL: '3', PYTHONDONTWRITEBYTECODE: '1' };

const pytest = (name, file, env = {}) => {
  const report = reports ? [`--junitxml=${join(reports, `${name}.xml`)}`] : [];
  const args = [
    '-m',
    'pytest',
    '-q',
    '-p',
    'no:cacheprovider',
    '--disable-warnings',
    ...report,
    `test/export/${file}`,
  ];
  return { name, program: PYTHON, args: [...args, ...process.argv.slice(2)], env };
};

const vitest = (name, files, env = {}) => {
  const report = reports
    ? ['--reporter=json', `--outputFile.json=${join(reports, `${name}.json`)}`]
    : [];
  const args = ['node_modules/vitest/vitest.mjs', 'run', '--reporter=dot', ...report, files];
  return { name, program: process.execPath, args, env };
};

/** The longest first. */
const waiting = [
  pytest('flax', 'test_flax.py'),
  pytest('pytorch', 'test_pytorch.py'),
  ...['jax', 'tensorflow', 'torch'].map((KERAS_BACKEND) =>
    pytest(`keras-${KERAS_BACKEND}`, 'test_keras.py', { KERAS_BACKEND }),
  ),
  pytest('onnx', 'test_onnx.py'),
  vitest('node', 'test/export'),
  vitest('netron', 'test/export/netron.browser.ts', {
    EVOLAYER_BROWSER: browser,
    EVOLAYER_PYTHON: PYTHON,
  }),
  vitest('stability', 'test/eval/stability.pytorch.ts', {
    EVOLAYER_PYTORCH: '1',
    EVOLAYER_PYTHON: PYTHON,
  }),
];

/** Prints what a suite said when it has ended, so that suites side by side stay apart. */
function run({ name, program, args, env }) {
  return new Promise((resolve) => {
    const began = performance.now();
    const child = spawn(program, args, { env: { ...THREADS, ...QUIET, ...process.env, ...env } });
    const said = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => said.push(data));
    child.on('error', (error) => said.push(Buffer.from(`${program}: ${error.message}\n`)));
    child.on('close', (status) => {
      const seconds = Math.round((performance.now() - began) / 1000);
      console.log(`\n== ${name} (${seconds} s)\n${Buffer.concat(said)}`);
      if (status !== 0) process.exitCode = 1;
      resolve();
    });
  });
}

await Promise.all(
  Array.from({ length: availableParallelism() }, async () => {
    for (let suite = waiting.shift(); suite; suite = waiting.shift()) await run(suite);
  }),
);
