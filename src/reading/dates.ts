import { UserError } from '../errors.ts';

/** Reads a day such as 2026-11-20, or a time of one (UTC unless it says where), as ISO 8601. */
export function dateFrom(name: string): (text: string) => string {
  return (text) => {
    const form =
      /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)(Z|[+-]\d{2}:\d{2})?)?$/;
    const [, day, time = '00:00', zone = 'Z'] = form.exec(text.trim()) ?? [];
    const midnight = new Date(`${day}T00:00Z`);
    const date = new Date(`${day}T${time}${zone}`);
    // A 31st of February would be taken for a day of March.
    if (!Number.isNaN(date.getTime()) && midnight.toISOString().slice(0, 10) === day)
      return date.toISOString();
    throw new UserError(
      `${name} is ${JSON.stringify(text.trim())}; it must be a date such as 2026-11-20 or 2026-11-20T08:30.`,
    );
  };
}
