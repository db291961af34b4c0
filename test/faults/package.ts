import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../../src/eval/package-root.ts';

/** What a candidate does when it is evaluated, the first `times` times; always unless told. */
export interface Misdeed {
  /** A key of misdeeds.js; or `gate`: it waits in a system call until `openGate`. */
  readonly misdeed: string;
  readonly times?: number;
}

export interface Copy {
  /** The package's folder. */
  readonly folder: string;
  /** Its program. */
  readonly program: string;
}

/** The parts of the package that a copy shares with the original, unless a test is to break one. */
const SHARED = ['node_modules', 'data', 'build', 'package.json'] as const;

export type Part = (typeof SHARED)[number];

/** A copy of the package that may be broken: `own` names the parts that it does not share, `without` those that it lacks. */
export function copyOfPackage(
  folder: string,
  own: readonly Part[] = [],
  without: readonly Part[] = [],
): Copy {
  cpSync(join(packageRoot(), 'dist'), join(folder, 'dist'), { recursive: true });
  for (const part of SHARED.filter((part) => !without.includes(part))) {
    const [from, to] = [join(packageRoot(), part), join(folder, part)];
    if (own.includes(part)) cpSync(from, to, { recursive: true });
    else symlinkSync(from, to);
  }
  return { folder, program: join(folder, 'dist/bin/evolayer.js') };
}

const fileHere = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Makes candidates misbehave in the workers of a copy, by functional key; `*` is any other. */
export function corrupt({ folder }: Copy, misdeeds: Readonly<Record<string, Misdeed>>): void {
  const workers = join(folder, 'dist/workers');
  renameSync(join(workers, 'evaluate.js'), join(workers, 'evaluate-real.js'));
  copyFileSync(fileHere('worker.js'), join(workers, 'evaluate.js'));
  copyFileSync(fileHere('../workers/misdeeds.js'), join(workers, 'misdeeds.js'));
  writeFileSync(join(workers, 'misdeeds.json'), JSON.stringify(misdeeds));
  execFileSync('mkfifo', [gateOf(folder)]);
}

const gateOf = (folder: string) => join(folder, 'dist/workers/gate');

/** Lets the one candidate go on that waits at the gate. Resolves when it does. */
export const openGate = ({ folder }: Copy): Promise<void> => writeFile(gateOf(folder), '');
