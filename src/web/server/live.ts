import type { ServerResponse } from 'node:http';
import type { Store } from '../../../db/store.ts';
import { writtenNow } from '../../reading/states.ts';
import type { ShownDatabase } from './database.ts';
import { SECURITY_HEADERS } from './guard.ts';

/** What pages are told whenever something was committed: enough to know what they have to ask again. */
export interface Pulse {
  /** Another one with every commit. */
  readonly version: string;
  /** Runs that did not end. */
  readonly open: readonly {
    readonly id: number;
    readonly proposals: number;
    readonly running: boolean;
  }[];
}

const POLL_MS = 1000;
/** A line that says nothing, so that nobody in between takes the silence for an end. */
const HEARTBEAT_POLLS = 15;
const MOST_CLIENTS = 64;
/** A client that leaves more than this unread has stopped to listen. */
const MOST_UNREAD = 100_000;

/**
 * Tells open pages (server-sent events) what was committed. The database is asked once a second for all of
 * them, and not at all where there are none.
 */
export class Live {
  readonly #database: ShownDatabase;
  readonly #clients = new Set<ServerResponse>();
  #timer: NodeJS.Timeout | null = null;
  #last = '';
  #polls = 0;

  constructor(database: ShownDatabase) {
    this.#database = database;
  }

  get clients(): number {
    return this.#clients.size;
  }

  /** Takes over a response; false where there are too many already. */
  add(response: ServerResponse): boolean {
    if (this.#clients.size >= MOST_CLIENTS) return false;
    response.writeHead(200, {
      ...SECURITY_HEADERS,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
    });
    this.#clients.add(response);
    response.on('close', () => this.#forget(response));
    response.on('error', () => this.#forget(response));
    response.write(`retry: 2000\n${this.#message()}`);
    this.#timer ??= setInterval(() => this.poll(), POLL_MS);
    return true;
  }

  /** Asks the database what is new, and tells. */
  poll(): void {
    const before = this.#last;
    const message = this.#message();
    this.#polls++;
    if (message !== before) this.#send(message);
    else if (this.#polls % HEARTBEAT_POLLS === 0) this.#send(':\n\n');
  }

  close(): void {
    for (const client of this.#clients) client.end();
    this.#clients.clear();
    this.#stopPolling();
  }

  #send(text: string): void {
    for (const client of this.#clients) {
      if (client.writableLength > MOST_UNREAD) client.destroy();
      else client.write(text);
    }
  }

  /** A database that cannot be asked now is no reason to end: the next poll asks again. */
  #message(): string {
    try {
      const version = this.#database.version();
      const pulse: Pulse = { version, open: this.#database.ask(openRuns) };
      this.#last = `event: pulse\ndata: ${JSON.stringify(pulse)}\n\n`;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#last = `event: trouble\ndata: ${JSON.stringify({ message })}\n\n`;
    }
    return this.#last;
  }

  #forget(client: ServerResponse): void {
    this.#clients.delete(client);
    if (this.#clients.size === 0) this.#stopPolling();
  }

  #stopPolling(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
  }
}

function openRuns(store: Store): Pulse['open'] {
  const running = writtenNow(store);
  return store.runs.open().map(({ id }) => ({
    ...{ id, proposals: store.course.proposals(id), running: id === running },
  }));
}
