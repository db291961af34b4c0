import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../eval/package-root.ts';
import type { SelfTest } from '../export/targets.ts';

/** How the self-test of a file ended. */
export type Verdict =
  | { readonly verdict: 'passed' }
  | { readonly verdict: 'failed'; readonly output: string }
  /** `missing` completes "left out, for …". */
  | { readonly verdict: 'left out'; readonly missing: string };

/** What hangs for this long has failed. */
const LIMIT_MS = 10 * 60_000;
const MAX_OUTPUT = 20_000_000;

/** Runs the file as its target says, with what is installed here. */
export async function runSelfTest(file: string, test: SelfTest): Promise<Verdict> {
  const runtime = await RUNTIMES[test.runtime](test.modules, file);
  if ('missing' in runtime) return { verdict: 'left out', missing: runtime.missing };
  const args = [...(runtime.args ?? []), ...(test.args?.(resolve(file)) ?? [resolve(file)])];
  // What lies beside the file must not be taken for a module of the same name.
  const env = { PYTHONSAFEPATH: '1', PYTHONDONTWRITEBYTECODE: '1', ...test.env };
  const { ended, output } = await runProgram(runtime.program, args, env);
  return ended ? { verdict: 'passed' } : { verdict: 'failed', output };
}

type Runtime =
  | { readonly program: string; readonly args?: readonly string[] }
  | { readonly missing: string };

const RUNTIMES: Readonly<
  Record<SelfTest['runtime'], (modules: readonly string[], file: string) => Promise<Runtime>>
> = { python: findPython, node: async (modules, file) => findNode(modules, file) };

const FIND = `\
import importlib.util, sys
print(*(name for name in sys.argv[1:] if importlib.util.find_spec(name) is None))`;

/** $EVOLAYER_PYTHON alone where it is set, else the first with all modules of the places that are usual. */
async function findPython(modules: readonly string[]): Promise<Runtime> {
  const chosen = process.env.EVOLAYER_PYTHON;
  const usual = ['.venv-exports', '.venv'].flatMap((name) =>
    [packageRoot(), '.'].map((folder) => resolve(folder, name, 'bin/python')),
  );
  const places = chosen ? [chosen] : [...new Set(usual.filter(existsSync)), 'python3'];
  let missing = '';
  for (const program of places) {
    const { ended, output } = await runProgram(program, ['-c', FIND, ...modules], {});
    if (ended && output.trim() === '') return { program };
    missing ||= ended
      ? `${program} lacks ${output.trim().replaceAll(' ', ', ')}`
      : `${program} does not run`;
  }
  return { missing };
}

/** The first of the places that are usual which has all modules: beside the file, here, and with evolayer. */
function findNode(modules: readonly string[], file: string): Runtime {
  const places = [resolve(file), resolve('package.json'), join(packageRoot(), 'package.json')];
  const lacks = places.map((place) => modules.filter((name) => !isInstalled(name, place)));
  const found = lacks.findIndex(({ length }) => length === 0);
  if (found < 0) return { missing: `Node.js does not find ${lacks.at(-1)!.join(', ')}` };
  const args = ['--no-warnings', '--import', resolvingFrom(places[found]!)];
  return { program: process.execPath, args };
}

function isInstalled(name: string, from: string): boolean {
  const folders = createRequire(from).resolve.paths(name) ?? [];
  return folders.some((folder) => existsSync(join(folder, name, 'package.json')));
}

/** For `--import`: a module after which modules that lack a package find it as `place` does. */
function resolvingFrom(place: string): string {
  const hooks = `
    export const resolve = (specifier, context, next) =>
      next(specifier, context).catch(() =>
        next(specifier, { ...context, parentURL: ${JSON.stringify(pathToFileURL(place).href)} }));`;
  const register = `
    import { register } from 'node:module';
    register(${JSON.stringify(dataUrl(hooks))});`;
  return dataUrl(register);
}

const dataUrl = (source: string): string => `data:text/javascript,${encodeURIComponent(source)}`;

/** Ends well with exit code 0; a program that is not there ends badly, and says so. */
function runProgram(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ ended: boolean; output: string }> {
  return new Promise((resolve) => {
    const options = {
      env: { ...process.env, ...env },
      timeout: LIMIT_MS,
      maxBuffer: MAX_OUTPUT,
    };
    execFile(program, args, options, (error, stdout, stderr) => {
      const output = error ? `${stdout}${stderr}` || error.message : stdout;
      resolve({ ended: error === null, output });
    });
  });
}
