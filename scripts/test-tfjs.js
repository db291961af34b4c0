// Runs the tests of the engine on TensorFlow.js at length, backend by backend: on TensorFlow's library, on WebGPU
// (with the software driver of Debian's chromium, where $VK_ICD_FILENAMES names no other), wasm and cpu; on those
// alone that are named. With $EVOLAYER_REPORTS, each leaves a report there.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { installTfjs, MODULES } from './install-tfjs.js';

const DRIVER = '/usr/lib/chromium/vk_swiftshader_icd.json';
const reports = process.env.EVOLAYER_REPORTS;
const scratch = mkdtempSync(join(tmpdir(), 'evolayer-'));

/** The tests beside those of the engine: commands, and what a machine lacks. */
const COMMANDS = ['test/cli/tfjs.test.ts'];
const DOCTOR = 'test/cli/doctor.test.ts';

const SUITES = {
  tensorflow: { files: [...COMMANDS, DOCTOR], env: () => ({}) },
  webgpu: { files: COMMANDS, env: softwareVulkan },
  wasm: { files: COMMANDS, env: () => ({}) },
  cpu: { files: [], env: () => ({}) },
};

function softwareVulkan() {
  const driver = process.env.VK_ICD_FILENAMES ?? DRIVER;
  if (!existsSync(driver))
    throw new Error(
      `WebGPU needs a Vulkan driver, and ${driver} is none; on Debian: apt-get install chromium libvulkan1`,
    );
  return { VK_ICD_FILENAMES: driver, XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? scratch };
}

function run(backend) {
  const { files, env } = SUITES[backend];
  const report = reports
    ? ['--reporter=json', `--outputFile.json=${join(reports, `tfjs-${backend}.json`)}`]
    : [];
  console.log(`\n== TensorFlow.js, ${backend}`);
  const began = performance.now();
  const args = ['run', '--reporter=dot', ...report, 'test/eval/tfjs', ...files];
  const { status } = spawnSync(process.execPath, ['node_modules/vitest/vitest.mjs', ...args], {
    stdio: 'inherit',
    env: {
      ...process.env,
      ...env(),
      EVOLAYER_TFJS: backend,
      NODE_PATH: [MODULES, process.env.NODE_PATH].filter(Boolean).join(delimiter),
    },
  });
  console.log(`${backend}: ${Math.round((performance.now() - began) / 1000)} s`);
  if (status !== 0) process.exitCode = 1;
}

const wanted = process.argv.slice(2);
const unknown = wanted.find((name) => !Object.hasOwn(SUITES, name));
if (unknown !== undefined)
  throw new Error(`there is no suite ${unknown}; the suites are ${Object.keys(SUITES).join(', ')}`);
try {
  installTfjs();
  for (const backend of wanted.length > 0 ? wanted : Object.keys(SUITES)) run(backend);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
