import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

/** The Chromium of $EVOLAYER_BROWSER, or of the path; undefined where there is none. */
export const browserPath = (): string | undefined =>
  process.env.EVOLAYER_BROWSER ??
  NAMES.flatMap((name) =>
    (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name)),
  ).find(existsSync);
