import { spawnSync } from 'node:child_process';

/** Runs the node-gyp that npm brings along, or else the one on the path. */
export function nodeGyp(args, cwd = '.') {
  const npmsOwn = process.env.npm_config_node_gyp;
  const [program, first] = npmsOwn ? [process.execPath, [npmsOwn]] : ['node-gyp', []];
  const result = spawnSync(program, [...first, ...args], {
    cwd,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    shell: !npmsOwn && process.platform === 'win32',
  });
  return { ...result, error: result.error?.message, output: `${result.stdout}${result.stderr}` };
}
