import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

export interface Server {
  readonly url: string;
  /** The requests so far: path, Range and If-Range. */
  readonly asked: string[];
}

/**
 * A server that gives one answer after the other, and the last one again and again. It is gone after the test,
 * with all its connections.
 */
export async function serving(...answers: readonly Answer[]): Promise<Server> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const { range, 'if-range': version } = request.headers;
    const heard = [request.url, range, version].filter((part) => part !== undefined);
    asked.push(heard.join(' '));
    answers[Math.min(asked.length, answers.length) - 1]!(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, asked };
}

interface FileOptions {
  readonly etag?: string;
  /** Sends so many bytes and then breaks the connection, or is silent. */
  readonly cut?: number;
  readonly silent?: boolean;
  readonly chunked?: boolean;
}

/** Sends a file, or the part of it that is asked for, as RFC 9110 says. */
export const file =
  (content: Uint8Array, options: FileOptions = {}): Answer =>
  (request, response) => {
    const { etag, cut, silent, chunked } = options;
    const { range, 'if-range': version } = request.headers;
    const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
    const partial = from > 0 && (version === undefined || version === etag);
    const body = partial ? content.subarray(from) : content;
    response.writeHead(partial ? 206 : 200, {
      ...(etag !== undefined && { etag }),
      ...(!chunked && { 'content-length': body.length }),
      ...(partial && { 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` }),
    });
    if (cut === undefined) return void response.end(body);
    response.write(body.subarray(0, cut), () => silent || response.socket?.end());
  };

/** An answer without content. */
export const saying =
  (status: number, headers: Readonly<Record<string, string>> = {}): Answer =>
  (_, response) =>
    void response.writeHead(status, headers).end();

export const sumOf = (content: Uint8Array): string =>
  createHash('sha256').update(content).digest('hex');
