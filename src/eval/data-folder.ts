import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';

/**
 * Where fetched data sets are kept, each in a folder of its name: $EVOLAYER_DATA, or a folder among the
 * caches of the system (https://specifications.freedesktop.org/basedir-spec).
 */
export function dataFolder(
  env: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
): string {
  if (env.EVOLAYER_DATA) return resolve(env.EVOLAYER_DATA);
  if (platform === 'win32')
    return join(env.LOCALAPPDATA ?? join(homedir(), 'AppData', 'Local'), 'evolayer', 'Cache');
  if (platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'evolayer');
  const caches = env.XDG_CACHE_HOME ?? '';
  return join(isAbsolute(caches) ? caches : join(homedir(), '.cache'), 'evolayer');
}
