import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

export const NO_BROWSER =
  'There is no Chromium; install it (apt-get install chromium), or name it with EVOLAYER_BROWSER.';

/** The Chromium of $EVOLAYER_BROWSER, or of the path; undefined where there is none. */
export const browserPath = () =>
  process.env.EVOLAYER_BROWSER ??
  NAMES.flatMap((name) =>
    (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name)),
  ).find((path) => existsSync(path));
