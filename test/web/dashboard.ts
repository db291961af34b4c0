import { onTestFinished } from 'vitest';
import { type Listening, type ListenOptions, listen } from '../../src/web/server/listen.ts';

/** A dashboard over it, closed after the test. Errors inside of it fail the test that asks for `errors`. */
export async function dashboard(
  db: string,
  options: Partial<ListenOptions> = {},
): Promise<Listening & { readonly errors: Error[] }> {
  const errors: Error[] = [];
  const onError = (error: Error) => void errors.push(error);
  const listening = await listen({ db, host: '127.0.0.1', port: 0, onError, ...options });
  onTestFinished(() => listening.close());
  return { ...listening, errors };
}

/** The answer to a question that is well put. */
export async function answerOf<T>(url: string, path: string): Promise<T> {
  const response = await fetch(new URL(path, url));
  if (response.status !== 200) throw new Error(`${path}: ${await response.text()}`);
  return (await response.json()) as T;
}
