import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { variants } from '../../../src/eval/native/machine.ts';
import { packageRoot } from '../../../src/eval/package-root.ts';

/** Runs one fault of the addon's `trespass` in a process of its own, and returns how that ended. */
function trespass(variant: number, fault: number) {
  const script = `import { createRequire } from 'node:module';
    const load = createRequire(import.meta.url)('node-gyp-build');
    load('.').trespass(${variant}, ${fault});
    console.log('unseen');`;
  const options = ['--input-type=module', '--eval', script];
  // Names of functions take seconds to find, and nobody asks for them.
  const env = { ...process.env, ASAN_OPTIONS: `${process.env.ASAN_OPTIONS}:symbolize=0` };
  const ended = spawnSync(process.execPath, options, { cwd: packageRoot(), encoding: 'utf8', env });
  return {
    failed: ended.status !== 0,
    unseen: ended.stdout.includes('unseen'),
    said: ended.stderr,
  };
}

const FAULTS = [
  ['a write behind the arena', 'AddressSanitizer: heap-buffer-overflow'],
  ['a write behind what an instruction names', 'AddressSanitizer: use-after-poison'],
  ['a signed overflow', 'runtime error: signed integer overflow'],
] as const;

for (const [v, variant] of variants().entries())
  it.each(FAULTS.map(([what, report], fault) => ({ what, report, fault })))(
    `$what ends the process, in ${variant} kernels`,
    ({ report, fault }) => {
      const { failed, unseen, said } = trespass(v, fault);
      expect(said).toContain(report);
      expect({ failed, unseen }).toEqual({ failed: true, unseen: false });
    },
  );
