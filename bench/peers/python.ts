import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/eval/package-root.ts';

/** $EVOLAYER_PYTHON, else that of the project's .venv or .venv-exports, else python3. */
function python(): string {
  const own = ['.venv', '.venv-exports'].map((name) => join(packageRoot(), name, 'bin', 'python'));
  return process.env.EVOLAYER_PYTHON ?? own.find(existsSync) ?? 'python3';
}

/** A Python with `modules`, or why there is none. */
export function pythonWith(...modules: string[]): { path: string } | { missing: string } {
  const path = python();
  const find = [
    'import importlib.util as u, sys',
    'print(*(m for m in sys.argv[1:] if u.find_spec(m) is None))',
  ].join('; ');
  const { status, stdout } = spawnSync(path, ['-c', find, ...modules], { encoding: 'utf8' });
  if (status !== 0) return { missing: `${path} does not run` };
  const lacking = stdout.trim();
  return lacking ? { missing: `${path} lacks ${lacking.replaceAll(' ', ', ')}` } : { path };
}
