/*
 * One answer of a server into a file. By hand rather than by `fetch`, which decompresses what a server calls
 * gzip, and by no library, for none resumes, bounds and checks as is wanted here.
 */
import { open, stat } from 'node:fs/promises';
import { get as getHttp, type IncomingMessage } from 'node:http';
import { get as getHttps } from 'node:https';
import { explainedFile } from '../files.ts';

/** Why nothing, or only a part, came from an address. */
export class TransferFailure extends Error {
  /** True where another try may succeed. */
  readonly again: boolean;
  /** True where what is there cannot become what is wanted. */
  readonly worthless: boolean;

  constructor(message: string, { again = false, worthless = false, cause }: FailureOptions = {}) {
    super(message, { cause });
    this.again = again;
    this.worthless = worthless;
  }
}

interface FailureOptions {
  readonly again?: boolean;
  readonly worthless?: boolean;
  readonly cause?: unknown;
}

export interface Request {
  readonly url: string;
  /** The file that grows. */
  readonly part: string;
  /** Of the whole file. */
  readonly bytes: number;
  /** What the server said of the version that `part` has the beginning of, for If-Range. */
  readonly validator: string | null;
  readonly signal: AbortSignal;
  /** Seconds without a byte after which a server is given up. */
  readonly stallSeconds: number;
  readonly onProgress: (bytes: number) => void;
  /** Called before the first byte of another version is written. */
  readonly onBegin: (validator: string | null) => void;
}

const REDIRECTS = 5;

/** Bytes of a file; 0 where there is none. */
export const sizeOf = async (path: string): Promise<number> => {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw explainedFile(error, `${path} cannot be read`);
  }
};

/** Asks for what `part` lacks and adds it, or writes it anew where the server sends all. Throws a TransferFailure. */
export async function transfer(request: Request): Promise<void> {
  const { bytes, part } = request;
  const have = await sizeOf(part);
  if (have > bytes)
    throw new TransferFailure(`${part} is too long`, { again: true, worthless: true });
  if (have === bytes) return;
  const response = await answer(request, have);
  try {
    const chunks = chunksOf(response);
    const from = startOf(response, have, bytes);
    if (from === 0) request.onBegin(validatorOf(response));
    await save(chunks, from, request);
  } finally {
    response.destroy();
  }
}

/** The answer after redirections. */
async function answer(request: Request, have: number): Promise<IncomingMessage> {
  const { validator } = request;
  const headers = {
    'accept-encoding': 'identity',
    ...(have > 0 && { range: `bytes=${have}-`, ...(validator && { 'if-range': validator }) }),
  };
  let url = addressOf(request.url, undefined);
  for (let redirects = 0; redirects <= REDIRECTS; redirects++) {
    const response = await ask(url, headers, request);
    const { statusCode = 0 } = response;
    const { location } = response.headers;
    if (![301, 302, 303, 307, 308].includes(statusCode) || location === undefined) return response;
    response.destroy();
    url = addressOf(location, url);
  }
  throw new TransferFailure(`it redirects more than ${REDIRECTS} times`);
}

function addressOf(text: string, base: URL | undefined): URL {
  const url = URL.canParse(text, base?.href) ? new URL(text, base) : null;
  if (url && (url.protocol === 'http:' || url.protocol === 'https:')) return url;
  const where = JSON.stringify(text.slice(0, 200));
  throw new TransferFailure(`it leads to ${where}, which is no http or https address`);
}

function ask(
  url: URL,
  headers: Readonly<Record<string, string>>,
  { signal, stallSeconds }: Request,
): Promise<IncomingMessage> {
  const get = url.protocol === 'https:' ? getHttps : getHttp;
  return new Promise((resolve, reject) => {
    let response: IncomingMessage | undefined;
    // A connection of its own: what a server still has to say on it is never wanted.
    const request = get(url, { headers, signal, agent: false }, (answered) => {
      response = answered;
      resolve(answered);
    });
    request.setTimeout(1000 * stallSeconds, () => {
      // Whoever waits gets the reason: for an answer, or for more of it.
      const stall = new TransferFailure(`it sent nothing for ${stallSeconds} s`, { again: true });
      (response ?? request).destroy(stall);
    });
    request.on('error', (error) => reject(failureOf(error)));
  });
}

const failureOf = (error: Error): TransferFailure => {
  if (error instanceof TransferFailure) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  return new TransferFailure(REASONS[code ?? ''] ?? (message || String(code)), {
    again: code !== 'ENOTFOUND',
    cause: error,
  });
};

const REASONS: Readonly<Record<string, string>> = {
  ENOTFOUND: 'there is no such server',
  EAI_AGAIN: 'the name of the server cannot be resolved now',
  ECONNREFUSED: 'the server refuses connections',
  ECONNRESET: 'the connection broke',
  ETIMEDOUT: 'the server does not answer',
};

/** Where the bytes of an answer belong. Throws a TransferFailure for an answer that is no good. */
function startOf(response: IncomingMessage, have: number, bytes: number): number {
  const { statusCode = 0, statusMessage = '', headers } = response;
  const from = statusCode === 206 ? have : 0;
  if (statusCode === 416)
    throw new TransferFailure('it has no such range', { again: true, worthless: true });
  if (statusCode !== 200 && statusCode !== 206) {
    const again = statusCode >= 500 || statusCode === 408 || statusCode === 429;
    throw new TransferFailure(`it answers ${statusCode} ${statusMessage}`.trimEnd(), { again });
  }
  if (statusCode === 206) checkRange(headers['content-range'], have, bytes);
  const length = headers['content-length'];
  if (length !== undefined && Number(length) !== bytes - from)
    throw new TransferFailure(`it says that it sends ${length} bytes instead of ${bytes - from}`);
  return from;
}

function checkRange(text: string | undefined, have: number, bytes: number): void {
  const [, first, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(text ?? '') ?? [];
  if (have > 0 && Number(first) === have && (total === '*' || Number(total) === bytes)) return;
  throw new TransferFailure(
    `it sends ${text === undefined ? 'a range that it does not name' : JSON.stringify(text)} instead of bytes ${have} to ${bytes - 1}`,
    { again: have > 0, worthless: true },
  );
}

/** A weak ETag says too little for parts of a file. */
function validatorOf({ headers }: IncomingMessage): string | null {
  const { etag, 'last-modified': modified } = headers;
  return etag !== undefined && !etag.startsWith('W/') ? etag : (modified ?? null);
}

/** Writes at fixed places, so that two programs that fetch the same file write the same bytes. */
async function save(
  chunks: AsyncIterable<Buffer>,
  from: number,
  { part, bytes, onProgress }: Request,
): Promise<void> {
  const written = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      throw explainedFile(error, `${part} cannot be written`);
    }
  };
  const file = await written(open(part, from === 0 ? 'w' : 'r+'));
  let end = from;
  try {
    for await (const chunk of chunks) {
      if (end + chunk.length > bytes)
        throw new TransferFailure(`it sends more than ${bytes} bytes`, { worthless: true });
      await written(file.write(chunk, 0, chunk.length, end));
      end += chunk.length;
      onProgress(end);
    }
    await written(file.sync());
  } finally {
    await file.close();
  }
  if (end < bytes)
    throw new TransferFailure(`it stopped after ${end} of ${bytes} bytes`, { again: true });
}

/** Chunks that may lie here before they are written. */
const QUEUE = 64;

/**
 * What a server sends, listened to from now on, so that what came before a connection broke is not lost with
 * it, as it is where a stream is read when it suits.
 */
function chunksOf(response: IncomingMessage): AsyncIterable<Buffer> {
  const queue: Buffer[] = [];
  let ended = false;
  let failure: Error | null = null;
  let wake = () => {};
  const told = (change: () => void) => () => {
    change();
    wake();
  };
  response.on('data', (chunk: Buffer) => {
    if (queue.push(chunk) >= QUEUE) response.pause();
    wake();
  });
  response.on('error', (error) => told(() => (failure = error))());
  for (const end of ['end', 'close'])
    response.on(
      end,
      told(() => (ended = true)),
    );
  return (async function* () {
    for (;;) {
      const chunk = queue.shift();
      if (chunk) {
        if (queue.length === 0) response.resume();
        yield chunk;
      } else if (failure) throw failureOf(failure);
      else if (ended) return;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  })();
}
