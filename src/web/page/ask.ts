import { useEffect, useRef, useState } from 'preact/hooks';
import { lastHeard, onHeard } from './live.ts';

/** What the server answered, or why it did not. */
export interface Asked<T> {
  readonly data: T | null;
  readonly error: string | null;
  /** True while the answer to this question is not there; `data` may still be that of the one before. */
  readonly waiting: boolean;
}

/** An address with those parameters that have a value; lists are repeated. */
export function address(
  path: string,
  query: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>> = {},
): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === '' || value === false) continue;
    for (const one of Array.isArray(value) ? value : [value]) parameters.append(name, String(one));
  }
  const text = parameters.toString();
  return text === '' ? path : `${path}?${text}`;
}

export async function ask<T>(url: string, signal?: AbortSignal): Promise<T> {
  let response: Response;
  try {
    response = await fetch(url, {
      ...(signal && { signal }),
      headers: { accept: 'application/json' },
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new Error('The dashboard does not answer. Is `evolayer dashboard` still running?');
  }
  const answer = (await response.json()) as { message?: string };
  if (!response.ok) throw new Error(answer.message ?? `The dashboard answered ${response.status}.`);
  return answer as T;
}

/** Ends when the frame that shows what was set has been drawn; in a hidden page, when it is looked at again. */
const drawn = (): Promise<void> =>
  new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));

/** A live question is asked again at most so often, and at most this share of the time goes into it. */
const LEAST_PAUSE_MS = 2000;
const PAUSES_PER_ANSWER = 30;

/**
 * Asks the server, and, while `live` is true, again whenever something was committed. Null asks nothing.
 * A question whose answer takes long to make and to draw is asked less often, so that a page does not slow a
 * search down.
 */
export function useAsk<T>(url: string | null, { live = true } = {}): Asked<T> {
  const [state, set] = useState<Asked<T> & { readonly url: string | null }>({
    ...{ data: null, error: null, waiting: url !== null, url },
  });
  const shown = useRef(state);
  shown.current = state;
  const alive = useRef(live);
  alive.current = live;
  const wake = useRef(() => {});
  useEffect(() => {
    if (live) wake.current();
  }, [live]);
  useEffect(() => {
    if (url === null) return;
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let [busy, asked, ended, took] = [false, '', 0, 0];
    const go = async () => {
      busy = true;
      asked = lastHeard().version;
      const began = performance.now();
      try {
        const data = await ask<T>(url, controller.signal);
        set({ data, error: null, waiting: false, url });
      } catch (error) {
        if (controller.signal.aborted) return;
        const message = error instanceof Error ? error.message : String(error);
        const same = shown.current.url === url;
        set({ data: same ? shown.current.data : null, error: message, waiting: false, url });
      }
      await drawn();
      if (controller.signal.aborted) return;
      ended = performance.now();
      took = ended - began;
      busy = false;
      look();
    };
    const look = () => {
      if (!alive.current || busy || timer !== undefined || document.hidden) return;
      const { version } = lastHeard();
      if (version === '' || version === asked) return;
      const pause = Math.max(LEAST_PAUSE_MS, PAUSES_PER_ANSWER * took);
      const wait = Math.max(0, ended + pause - performance.now());
      timer = setTimeout(() => {
        timer = undefined;
        if (alive.current && !document.hidden) void go();
      }, wait);
    };
    wake.current = look;
    if (shown.current.url !== url) set({ ...shown.current, error: null, waiting: true });
    void go();
    const forget = onHeard(look);
    document.addEventListener('visibilitychange', look);
    return () => {
      forget();
      document.removeEventListener('visibilitychange', look);
      if (timer !== undefined) clearTimeout(timer);
      controller.abort();
    };
  }, [url]);
  return state;
}
