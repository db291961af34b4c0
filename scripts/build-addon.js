// Builds the native addon where binding.gyp describes it. With --optional (when the package is
// installed) a machine without a compiler gets one line about it, and the installation goes on.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const optional = process.argv.includes('--optional');
const { status, error, output } = nodeGyp(existsSync('build/Makefile') ? 'build' : 'rebuild');
if (status !== 0) {
  if (!optional) process.stderr.write(output);
  process.stderr.write(
    `evolayer: the native engine was not built: ${error ?? reason(output)}. ` +
      `It needs make, a C++ compiler and Node's headers${optional ? '; then run: npm run build' : ''}.\n`,
  );
  process.exitCode = optional ? 0 : 1;
}

/** Runs the node-gyp that npm brings along, or else the one on the path. */
function nodeGyp(command) {
  const npmsOwn = process.env.npm_config_node_gyp;
  const [program, args] = npmsOwn ? [process.execPath, [npmsOwn]] : ['node-gyp', []];
  const result = spawnSync(program, [...args, command], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    shell: !npmsOwn && process.platform === 'win32',
  });
  return { ...result, error: result.error?.message, output: `${result.stdout}${result.stderr}` };
}

/** The line of node-gyp's output that says most. */
function reason(text) {
  const lines = text.split('\n').map((line) => line.replace(/^gyp ERR! /, ''));
  const told = (pattern) => lines.find((line) => pattern.test(line));
  const line = told(/\berror:/) ?? told(/^stack Error:/) ?? told(/not found|could ?n[o']t find/i);
  return (line ?? 'node-gyp failed')
    .replace(/^stack Error: /, '')
    .trim()
    .replace(/[.:]$/, '');
}
