import { execFileSync } from 'node:child_process';

/** Resident memory of the processes that this one started, in MB. */
export function residentOfChildren(): number {
  const parent = String(process.pid);
  const lines = execFileSync('ps', ['-A', '-o', 'ppid=,rss=,comm='], { encoding: 'utf8' });
  return lines
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([ppid, , name]) => ppid === parent && name !== 'ps')
    .reduce((sum, [, kilobytes]) => sum + Number(kilobytes) / 2 ** 10, 0);
}
