import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { BlockList, isIP, isIPv6 } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/* Who may ask, and for what. Everything here is about a page that other pages of the same browser, and other machines of the same net, must not reach through. */

/** Longer ones are no question of ours. */
const LONGEST_URL = 8192;

/**
 * Scripts and styles are files of ours; nothing is loaded from elsewhere, sent elsewhere, or shown inside of
 * another page. Pictures may be data, as those that fonts and styles hold are.
 */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
};

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** True for an address at which only this machine is heard. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' ||
  (isIP(host) !== 0 && LOOPBACK.check(host, isIPv6(host) ? 'ipv6' : 'ipv4'));

export const newToken = (): string => randomBytes(24).toString('base64url');

/** The names by which a server on `host` may be called, in small letters. */
export function namesOf(host: string): ReadonlySet<string> {
  const local = ['localhost', '127.0.0.1', '::1'];
  if (isLoopback(host)) return new Set([...local, host.toLowerCase()]);
  const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  const own = addresses.map(({ address }) => address.toLowerCase());
  return new Set([...local, ...own, host.toLowerCase(), hostname().toLowerCase()]);
}

/** The name in a Host header, without port and brackets; null where there is none. */
function nameIn(header: string | undefined): string | null {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]/@\s]+))(?::\d{1,5})?$/i.exec(header ?? '');
  return (match?.[1] ?? match?.[2])?.toLowerCase() ?? null;
}

export interface GuardOptions {
  /** What the server listens to. */
  readonly host: string;
  /** Null where none is needed. */
  readonly token: string | null;
}

/** Refuses what the dashboard does not answer, before anything else looks at it. */
export function guard(app: FastifyInstance, { host, token }: GuardOptions): void {
  const names = namesOf(host);
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(SECURITY_HEADERS);
    const { method, url, headers } = request;
    const name = nameIn(headers.host);
    if (name === null || !names.has(name))
      return refuse(reply, 421, 'This dashboard does not answer to that name.');
    if (method !== 'GET' && method !== 'HEAD') {
      reply.header('allow', 'GET, HEAD').header('connection', 'close');
      return refuse(reply, 405, 'This dashboard only shows; nothing can be written through it.');
    }
    if (url.length > LONGEST_URL)
      return refuse(reply, 414, `An address has ${LONGEST_URL} characters at most.`);
    if (headers['sec-fetch-site'] === 'cross-site' && headers['sec-fetch-mode'] !== 'navigate')
      return refuse(reply, 403, 'Other pages may not ask this dashboard.');
    if (token !== null) return checkToken(request, reply, token);
  });
}

function refuse(reply: FastifyReply, status: number, message: string) {
  return reply.code(status).send({ statusCode: status, message });
}

const COOKIE = 'evolayer-token';
const digest = (text: string) => createHash('sha256').update(text).digest();
const isSame = (given: string | null | undefined, token: string) =>
  typeof given === 'string' && timingSafeEqual(digest(given), digest(token));

/** A token in the address is traded for a cookie, so that it does not stay where it is seen. */
function checkToken(request: FastifyRequest, reply: FastifyReply, token: string) {
  const { headers, url } = request;
  const bearer = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1];
  if (isSame(bearer, token) || isSame(cookieIn(headers.cookie), token)) return;
  const address = new URL(url, 'http://dashboard');
  if (isSame(address.searchParams.get('token'), token)) {
    address.searchParams.delete('token');
    // The path of an address of ours alone: `//elsewhere` would be another machine.
    const back = `${address.pathname.replace(/^\/+/, '/')}${address.search}`;
    return reply
      .header('set-cookie', `${COOKIE}=${token}; HttpOnly; SameSite=Lax; Path=/`)
      .redirect(back, 303);
  }
  reply.header('www-authenticate', 'Bearer');
  return refuse(
    reply,
    401,
    'This dashboard needs its token: open the address that `evolayer dashboard` printed when it started.',
  );
}

const cookieIn = (header: string | undefined): string | undefined =>
  (header ?? '')
    .split(';')
    .map((pair) => pair.trim().split('='))
    .find(([name]) => name === COOKIE)?.[1];
