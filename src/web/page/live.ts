import { useEffect, useState } from 'preact/hooks';
import type { Pulse } from '../server/live.ts';

export type Link = 'live' | 'lost' | 'trouble';

/** What the server said last. */
export interface Heard {
  readonly link: Link;
  /** Another one with every commit; empty before anything was heard. */
  readonly version: string;
  readonly open: Pulse['open'];
  /** Why the database cannot be read. */
  readonly trouble: string | null;
}

let heard: Heard = { link: 'live', version: '', open: [], trouble: null };
const listeners = new Set<() => void>();
let source: EventSource | null = null;

function tell(next: Partial<Heard>): void {
  heard = { ...heard, ...next };
  for (const listener of listeners) listener();
}

/** One connection for the whole page. The browser opens it again where it breaks. */
function connect(): void {
  if (source) return;
  source = new EventSource('/api/live');
  source.addEventListener('pulse', (event) => {
    const { version, open } = JSON.parse(event.data) as Pulse;
    tell({ link: 'live', version, open, trouble: null });
  });
  source.addEventListener('trouble', (event) => {
    const { message } = JSON.parse(event.data) as { message: string };
    tell({ link: 'trouble', trouble: message });
  });
  source.addEventListener('error', () => tell({ link: 'lost' }));
}

export const lastHeard = (): Heard => heard;

export function onHeard(listener: () => void): () => void {
  connect();
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

export function useHeard(): Heard {
  const [now, set] = useState(heard);
  useEffect(() => onHeard(() => set(heard)), []);
  return now;
}
