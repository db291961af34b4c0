import { UserError } from '../../errors.ts';
import { type AppOptions, dashboardApp } from './app.ts';
import { isLoopback, newToken } from './guard.ts';

export interface ListenOptions extends Pick<AppOptions, 'db' | 'onError'> {
  readonly host: string;
  /** 0 for any that is free. */
  readonly port: number;
}

export interface Listening {
  /** With the token, where one is needed. */
  readonly url: string;
  readonly token: string | null;
  readonly close: () => Promise<void>;
}

/** Starts the dashboard. Whoever hears it from another machine needs a token. */
export async function listen({ host, port, ...options }: ListenOptions): Promise<Listening> {
  const token = isLoopback(host) ? null : newToken();
  const app = await dashboardApp({ ...options, host, token });
  try {
    await app.listen({ host, port });
  } catch (error) {
    await app.close();
    throw explained(error, host, port);
  }
  const address = app.server.address();
  const bound = typeof address === 'object' && address ? address.port : port;
  const name = host.includes(':') ? `[${host}]` : host;
  const url = `http://${name}:${bound}/${token === null ? '' : `?token=${token}`}`;
  return { url, token, close: () => app.close() };
}

function explained(error: unknown, host: string, port: number): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  if (code === 'EADDRINUSE')
    return new UserError(`Port ${port} is taken; name another one with --port, or 0 for any.`, 1);
  if (code === 'EACCES')
    return new UserError(`Port ${port} may not be used; name one above 1023 with --port.`, 1);
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return new UserError(`${host} is no address of this machine; --host names one of its own.`, 1);
  return error;
}
