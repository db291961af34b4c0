import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { UserError } from '../../errors.ts';
import { isRecord } from '../../eval/settings.ts';
import { printable } from '../../format.ts';
import { explainedFile, makeFolder } from '../files.ts';
import { sizeOf, TransferFailure, transfer } from './transfer.ts';

/** A file of the net whose content is known. */
export interface Wanted {
  readonly target: string;
  readonly bytes: number;
  readonly sha256: string;
  /** Addresses that have it, tried one after the other. */
  readonly urls: readonly string[];
}

export interface DownloadOptions {
  readonly signal: AbortSignal;
  readonly onProgress?: (bytes: number) => void;
  /** Told of every failure that is not the last. */
  readonly say?: (text: string) => void;
  readonly stallSeconds?: number;
  /** At each address. */
  readonly tries?: number;
  /** Waits between tries; rejects where the signal comes. */
  readonly pause?: (seconds: number, signal: AbortSignal) => Promise<void>;
}

/** The beginning of a file, which a later download goes on from. */
export const partOf = (target: string): string => `${target}.part`;
/** Which version of which address a part is of. */
const versionOf = (target: string): string => `${target}.part.json`;

const STALL_SECONDS = 30;
const TRIES = 5;

/**
 * Brings a file to its place, whole and with its checksum or not at all. What came is kept beside it for the
 * next time, unless it cannot become right. Throws a UserError that says what every address did, or the
 * signal's AbortError.
 */
export async function download(wanted: Wanted, options: DownloadOptions): Promise<void> {
  const { target, urls } = wanted;
  makeFolder(dirname(target));
  const reasons: string[] = [];
  for (const url of urls) {
    try {
      await downloadFrom(url, wanted, options);
      return;
    } catch (error) {
      if (!(error instanceof TransferFailure)) throw error;
      reasons.push(`${shown(url)}: ${printable(error.message)}`);
      if (reasons.length < urls.length) options.say?.(reasons.at(-1)!);
    }
  }
  throw new UserError(
    `${basename(target)} cannot be downloaded (${reasons.join('; ')}); try again later, or name another place with --mirror.`,
    1,
  );
}

/** Without the password that an address may have. */
function shown(text: string): string {
  const url = new URL(text);
  url.username = '';
  url.password = '';
  return url.href;
}

const pauseFor = async (seconds: number, signal: AbortSignal): Promise<void> => {
  await sleep(1000 * seconds, undefined, { signal });
};

async function downloadFrom(url: string, wanted: Wanted, options: DownloadOptions): Promise<void> {
  const { tries = TRIES, pause = pauseFor, say, signal } = options;
  for (let count = 1; ; count++) {
    try {
      return await attempt(url, wanted, options);
    } catch (error) {
      signal.throwIfAborted();
      // Another program that fetches it may have been first.
      if (existsSync(wanted.target) && (await checksum(wanted.target)) === wanted.sha256) return;
      if (!(error instanceof TransferFailure)) throw error;
      if (error.worthless) discard(wanted.target);
      if (!error.again || count === tries) throw error;
      say?.(`${shown(url)}: ${printable(error.message)}; trying again.`);
      await pause(2 ** (count - 1), signal);
    }
  }
}

async function attempt(url: string, wanted: Wanted, options: DownloadOptions): Promise<void> {
  const { target, bytes } = wanted;
  const { signal, onProgress = () => {}, stallSeconds = STALL_SECONDS } = options;
  signal.throwIfAborted();
  const part = partOf(target);
  const resumed = (await sizeOf(part)) > 0;
  await transfer({
    ...{ url, part, bytes, signal, onProgress, stallSeconds },
    validator: validatorIn(versionOf(target), shown(url)),
    onBegin: (validator) => keepVersion(target, shown(url), validator),
  });
  await finish(wanted, resumed);
}

/** Gives the file its name where its content is right. */
async function finish({ target, sha256 }: Wanted, resumed: boolean): Promise<void> {
  const part = partOf(target);
  const actual = await checksum(part);
  if (actual !== sha256)
    throw new TransferFailure(`its content has the SHA-256 ${actual} instead of ${sha256}`, {
      // The beginning may be to blame, which is of another day and maybe of another address.
      again: resumed,
      worthless: true,
    });
  try {
    await rename(part, target);
  } catch (error) {
    throw explainedFile(error, `${target} cannot be written`);
  }
  discard(target);
}

/** The SHA-256 of a file. */
export async function checksum(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  } catch (error) {
    throw explainedFile(error, `${path} cannot be read`);
  }
  return hash.digest('hex');
}

/** Throws away what is there of a file that is not whole. */
function discard(target: string): void {
  for (const path of [partOf(target), versionOf(target)]) rmSync(path, { force: true });
}

function keepVersion(target: string, url: string, validator: string | null): void {
  try {
    writeFileSync(versionOf(target), JSON.stringify({ url, validator }));
  } catch (error) {
    throw explainedFile(error, `${versionOf(target)} cannot be written`);
  }
}

/** Of the part, where it is from this address. Of a note that was cut off nothing is known. */
function validatorIn(path: string, url: string): string | null {
  if (!existsSync(path)) return null;
  try {
    const version: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (!isRecord(version) || version.url !== url) return null;
    return typeof version.validator === 'string' ? version.validator : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw explainedFile(error, `${path} cannot be read`);
  }
}
