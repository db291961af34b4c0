import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/eval/package-root.ts';

/** The Python that has the frameworks: $EVOLAYER_PYTHON, else the project's .venv, else python3. */
function python(): string {
  const own = join(packageRoot(), '.venv', 'bin', 'python');
  return process.env.EVOLAYER_PYTHON ?? (existsSync(own) ? own : 'python3');
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
