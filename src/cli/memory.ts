import { readdirSync, readFileSync } from 'node:fs';

/** Resident memory in bytes: of this process, and of its children together, null where the system does not tell. */
export interface Memory {
  readonly own: number;
  readonly children: number | null;
}

export const memoryInUse = (): Memory => ({
  own: process.memoryUsage.rss(),
  children: residentOfChildren(),
});

const PAGE = 4096;

/** Linux lists the children of each thread (proc(5)). A child may be gone before it is asked. */
function residentOfChildren(): number | null {
  const pids = read(() =>
    readdirSync('/proc/self/task').flatMap((thread) =>
      readFileSync(`/proc/self/task/${thread}/children`, 'utf8').split(' ').filter(Boolean),
    ),
  );
  if (!pids?.length) return null;
  const pages = pids.map((pid) =>
    read(() => Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1])),
  );
  return PAGE * pages.reduce<number>((sum, resident) => sum + (resident ?? 0), 0);
}

/** Null where the file is not there, or went away meanwhile. */
function read<T>(ask: () => T): T | null {
  try {
    return ask();
  } catch (error) {
    if (error instanceof Error && 'code' in error) return null;
    throw error;
  }
}
