import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../errors.ts';
import { dataFolder } from '../../eval/data-folder.ts';
import type { DatasetSource } from '../../eval/data-sources.ts';
import { bytes } from '../../format.ts';
import { partOf } from './download.ts';

/** A data set, and how much of it is here. */
export interface DataStanding {
  readonly name: string;
  readonly doc: string;
  readonly image: DatasetSource['image'];
  readonly classes: number;
  readonly images: { readonly train: number; readonly validation: number; readonly test: number };
  readonly hash: string;
  readonly state: 'package' | 'cache' | 'system' | 'file' | 'partial' | 'absent';
  readonly path: string | null;
  /** Of what is fetched, and of what of it is in the cache. */
  readonly bytes: number;
  readonly fetched: number;
}

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;

export function standingOf(source: DatasetSource): DataStanding {
  const { name, doc, image, classes, train, validation, test, hash, files } = source;
  const place = source.place();
  const folder = join(dataFolder(), name);
  const fetched = files
    .map((file) => join(folder, file.name))
    .reduce((sum, path) => sum + (sizeOf(path) || sizeOf(partOf(path))), 0);
  return {
    ...{ name, doc, image, classes, images: { train, validation, test }, hash },
    state: place?.kind ?? (fetched > 0 ? 'partial' : 'absent'),
    path: place?.path ?? null,
    ...{ bytes: files.reduce((sum, file) => sum + file.bytes, 0), fetched },
  };
}

/** Where a data set is, or how to get it. */
export function whereabouts({ name, state, path, bytes: size, fetched }: DataStanding): string {
  if (state === 'package') return 'in the package';
  if (path !== null) return path;
  const command = `evolayer data fetch ${name}`;
  return state === 'partial' ? `${bytes(fetched)} of ${bytes(size)}; ${command}` : command;
}

export interface Finding {
  readonly name: string;
  readonly path: string | null;
  readonly sound: boolean;
  /** What is wrong. */
  readonly message: string | null;
}

/** Reads all of a data set, against its checksums. */
export function checkSource(source: DatasetSource): Finding {
  const { name, files } = source;
  const place = source.place();
  const parts = files.filter((file) => existsSync(partOf(join(dataFolder(), name, file.name))));
  const path = place?.path ?? null;
  const finding = (message: string | null) => ({ name, path, sound: message === null, message });
  if (!place)
    return finding(
      `The data set ${name} is not ${parts.length > 0 ? 'wholly ' : ''}here; fetch it with \`evolayer data fetch ${name}\`.`,
    );
  try {
    source.read(place);
    return finding(null);
  } catch (error) {
    if (error instanceof UserError) return finding(error.message);
    throw error;
  }
}
