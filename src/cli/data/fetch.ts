import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../errors.ts';
import { dataFolder } from '../../eval/data-folder.ts';
import type { DataFile, DatasetSource } from '../../eval/data-sources.ts';
import { checksum, type DownloadOptions, download } from './download.ts';

export interface FetchOptions extends Omit<DownloadOptions, 'onProgress'> {
  /** Folders of the net with a folder for each data set, asked before its own addresses. */
  readonly mirrors: readonly string[];
  /** Called for every file that is to come; what it returns hears of the file's bytes, and of its end. */
  readonly onFile?: (file: DataFile) => {
    readonly progress: (bytes: number) => void;
    readonly end: () => void;
  };
}

/**
 * Brings a data set here, unless a sound one is; returns where it is. Throws a UserError where that is not
 * possible, or the signal's reason.
 */
export async function fetchDataset(source: DatasetSource, options: FetchOptions): Promise<string> {
  const { name, files, place } = source;
  const here = place();
  if (files.length === 0 && here) return here.path;
  if (here && isSound(source, here)) return here.path;
  const folder = join(dataFolder(), name);
  for (const file of files) await fetchFile(source, file, folder, options);
  const fetched = { kind: 'cache', path: folder, remedy: 'tell the authors of evolayer' } as const;
  source.read(fetched);
  return folder;
}

function isSound(source: DatasetSource, place: Parameters<DatasetSource['read']>[0]): boolean {
  try {
    source.read(place);
    return true;
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}

async function fetchFile(
  { name, urls }: DatasetSource,
  file: DataFile,
  folder: string,
  { mirrors, onFile, ...options }: FetchOptions,
): Promise<void> {
  const target = join(folder, file.name);
  if (existsSync(target) && (await checksum(target)) === file.sha256) return;
  const display = onFile?.(file);
  const addresses = [
    ...mirrors.map((mirror) => `${mirror.replace(/\/+$/, '')}/${name}/${file.name}`),
    ...urls.map((url) => `${url}/${file.name}`),
  ];
  try {
    await download(
      { target, bytes: file.bytes, sha256: file.sha256, urls: addresses },
      { ...options, ...(display && { onProgress: display.progress }) },
    );
  } finally {
    display?.end();
  }
}
