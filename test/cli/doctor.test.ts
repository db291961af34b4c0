import { cpSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { packageRoot } from '../../src/eval/package-root.ts';
import { copyOfPackage, type Part } from '../faults/package.ts';
import { type Ended, evolayer, TINY, temporaryFolder } from './process.ts';

// Each asks all backends, in a process of its own.
vi.setConfig({ testTimeout: 120_000 });

const NODE = '@tensorflow/tfjs-node';

interface Machine {
  readonly modules: string;
  readonly run: (...args: string[]) => Promise<Ended>;
}

/** A machine with evolayer and the packages that it depends on, and with none of those that it may use. */
function machine(...without: Part[]): Machine {
  const folder = temporaryFolder();
  const { program } = copyOfPackage(folder, [], ['node_modules', ...without]);
  const modules = join(folder, 'node_modules');
  linkPackages(join(packageRoot(), 'node_modules'), modules);
  const run = (...args: string[]) =>
    evolayer(args, { cwd: folder, program, env: { NODE_PATH: undefined } });
  return { modules, run };
}

const isOptional = (name: string) => /^(webgpu|tfjs-node.*|tfjs-backend-webgpu)$/.test(name);

/** Folders of a scope are made, so that packages of several places can lie in one. */
function linkPackages(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from).filter((name) => !isOptional(name))) {
    const [source, target] = [join(from, name), join(to, name)];
    if (name.startsWith('@')) linkPackages(source, target);
    else if (!existsSync(target)) symlinkSync(source, target);
  }
}

/** The real package without what its install script makes, where `npm run test:tfjs` has installed it; or one that asks for its binary as that does. */
function installNode({ modules }: Machine): string {
  const folder = join(modules, NODE);
  const others = join(packageRoot(), '.venv-exports', 'tfjs', 'node_modules');
  const installed = join(others, NODE);
  if (existsSync(installed)) {
    linkPackages(others, modules);
    const made = ['lib', 'deps', 'build'].map((name) => join(installed, name));
    cpSync(installed, folder, { recursive: true, filter: (file) => !made.includes(file) });
    return folder;
  }
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: NODE, main: 'index.js' }));
  writeFileSync(join(folder, 'index.js'), "require('./lib/napi-v8/tfjs_binding.node');\n");
  return folder;
}

function breakBinary(folder: string): void {
  mkdirSync(join(folder, 'lib', 'napi-v8'), { recursive: true });
  writeFileSync(join(folder, 'lib', 'napi-v8', 'tfjs_binding.node'), 'not a library');
}

async function diagnosis({ run }: Machine) {
  const { code, stdout, stderr } = await run('doctor', '--json');
  expect(stderr).toBe('');
  expect(code).toBe(0);
  const { native, tfjs, auto } = JSON.parse(stdout);
  const of = (name: string) => tfjs.find(({ backend }: { backend: string }) => backend === name);
  return { native, auto, of };
}

describe('a machine', () => {
  test('without any optional package can do all but what these are for, and is told how to get them', async () => {
    const one = machine();
    const { native, auto, of } = await diagnosis(one);
    expect(native).toMatchObject({ state: 'ready', numerics: auto });
    for (const name of ['wasm', 'cpu'])
      expect(of(name)).toMatchObject({ state: 'ready', numerics: expect.stringContaining(name) });
    expect(of('tensorflow')).toMatchObject({
      state: 'no package',
      mend: `npm install --no-save ${NODE}`,
    });
    expect(of('tensorflow-gpu').mend).toBe(`npm install --no-save ${NODE}-gpu`);
    expect(of('webgpu')).toMatchObject({
      state: 'no package',
      mend: expect.stringContaining('webgpu'),
    });
    const { code, stderr } = await one.run('evaluate', 'ReLU', ...TINY, '--backend', 'tensorflow');
    expect(code).toBe(1);
    expect(stderr).toContain(`npm install --no-save ${NODE}`);
  });

  test('with a package that lacks its binary is told so', async () => {
    const one = machine();
    installNode(one);
    const { of } = await diagnosis(one);
    expect(of('tensorflow')).toMatchObject({
      state: 'no binary',
      reason: expect.stringContaining('without its binary'),
      mend: `npm rebuild ${NODE} --foreground-scripts`,
    });
  });

  test('with a broken binary is told its own error', async () => {
    const one = machine();
    breakBinary(installNode(one));
    const { of } = await diagnosis(one);
    expect(of('tensorflow')).toMatchObject({
      state: 'broken',
      // What the system's loader says of such a file.
      reason: expect.stringMatching(/too short|invalid ELF|not a mach-o|not a valid/i),
      mend: `npm rebuild ${NODE} --foreground-scripts`,
    });
    const { code, stdout } = await one.run('evaluate', 'ReLU', ...TINY, '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout).outcome).toBe('evaluated');
  });

  test('without the native engine trains on TensorFlow.js, and says so', async () => {
    const one = machine('build');
    breakBinary(installNode(one));
    const { code, stdout, stderr } = await one.run('evaluate', 'ReLU', ...TINY, '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout).outcome).toBe('evaluated');
    expect(stderr).toMatch(/native engine cannot be loaded/);
    expect(stderr).toMatch(/TensorFlow\.js takes its place: tfjs\/wasm\//);
    expect(stderr).toMatch(/cannot compute on tensorflow: @tensorflow\/tfjs-node: /);
    const { native, auto } = await diagnosis(one);
    expect(native).toMatchObject({
      state: 'no binary',
      mend: expect.stringContaining('npm run build'),
    });
    expect(auto).toMatch(/^tfjs\/wasm\//);
    const asked = await one.run('evaluate', 'ReLU', ...TINY, '--engine', 'native');
    expect(asked.code).toBe(1);
  });
});

test('doctor in words has a line for each, and a second for what is to be mended', async () => {
  const { stdout } = await machine().run('doctor');
  expect(stdout).toMatch(/^native engine: ready \(native\/\w+\/\d+\)$/m);
  expect(stdout).toMatch(/^TensorFlow\.js, wasm: ready/m);
  expect(stdout).toMatch(/^TensorFlow\.js, webgpu: no package: .*\n {2}to mend it: npm install/m);
});
