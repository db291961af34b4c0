import { duration, percent, printable } from '../format.ts';
import type { RunStats } from './stats.ts';

export const EVENT_KINDS = ['session', 'best', 'fault'] as const;

/** Something that happened to a run. */
export interface RunEvent {
  /** ISO 8601; null where it was not noted. */
  readonly at: string | null;
  readonly kind: (typeof EVENT_KINDS)[number];
  readonly text: string;
  /** The layer that it is about. */
  readonly layer: string | null;
}

/** What happened to a run, the latest first: sessions that began and ended, layers better than all before, faults. */
export function eventsOf(stats: RunStats): RunEvent[] {
  const event = (
    kind: RunEvent['kind'],
    at: string | null,
    text: string,
    layer: string | null = null,
  ): RunEvent => ({ at, kind, text: printable(text), layer });
  const events = [
    ...stats.sessions.flatMap(({ number, started, ended, state, reason, workers, seconds }) => [
      event('session', started, `session ${number} began, with ${workers} workers`),
      ...(ended === null
        ? []
        : [
            event(
              'session',
              ended,
              `session ${number} ${state} after ${duration(seconds)}${reason ? `: ${reason}` : ''}`,
            ),
          ]),
    ]),
    ...stats.improvements.map(({ at, id, fitness, formula }) =>
      event('best', at, `a new best, ${percent(fitness)}: ${formula}`, id),
    ),
    ...stats.faults.map(({ at, kind, index, message }) =>
      event('fault', at, `${kind}${index === null ? '' : `, proposal ${index}`}: ${message}`),
    ),
  ];
  return events
    .map((one, order) => ({ one, order }))
    .sort((a, b) => (b.one.at ?? '').localeCompare(a.one.at ?? '') || b.order - a.order)
    .map(({ one }) => one);
}
