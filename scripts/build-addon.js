// Builds the native addon where binding.gyp describes it. With --optional (when the package is
// installed) a machine without a compiler gets one line about it, and the installation goes on.
// With --sanitize it builds the one that stops at what AddressSanitizer and
// UndefinedBehaviorSanitizer see, in a folder of its own.
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { nodeGyp } from './node-gyp.js';

const SANITIZED = 'build/sanitize';
const optional = process.argv.includes('--optional');
const sanitize = process.argv.includes('--sanitize');
if (sanitize) mirror(SANITIZED);
const root = sanitize ? SANITIZED : '.';
const configured = existsSync(`${root}/build/Makefile`);
const { status, error, output } = nodeGyp([
  configured ? 'build' : 'rebuild',
  // Each kernel variant takes half a minute of a core, and a gigabyte.
  '--jobs',
  '2',
  ...(sanitize ? ['--directory', root] : []),
  ...(sanitize && !configured ? ['--', '-Dsanitize=1'] : []),
]);
if (status !== 0) {
  if (!optional) process.stderr.write(output);
  process.stderr.write(
    `evolayer: the native engine was not built: ${error ?? reason(output)}. ` +
      `It needs make, a C++ compiler and Node's headers${optional ? '; then run: npm run build' : ''}.\n`,
  );
  process.exitCode = optional ? 0 : 1;
}

/**
 * A folder with the same sources; node-gyp always builds in `build`, below where it finds binding.gyp. That is no
 * link, for make would take the folder that it leads to for the one of the addon.
 */
function mirror(folder) {
  mkdirSync(folder, { recursive: true });
  if (!existsSync(`${folder}/native`)) symlinkSync('../../native', `${folder}/native`);
  const wanted = readFileSync('binding.gyp', 'utf8');
  const copy = `${folder}/binding.gyp`;
  if (!existsSync(copy) || readFileSync(copy, 'utf8') !== wanted) writeFileSync(copy, wanted);
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
