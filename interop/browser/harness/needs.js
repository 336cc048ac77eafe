// What this suite needs of the machine: Chromium, and for `npm test` Go to build the broker. Run by itself it says what is missing.

import { accessSync, constants } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Where Chromium is. */
export const chromium = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** Set by somebody who knows that there is no browser; nothing skips by itself. */
export const skip = process.env.INTEROP_BROWSER_SKIP ? 'INTEROP_BROWSER_SKIP is set' : false;

/** Says what is missing and how to get it; an empty list is all well. */
export function missing() {
  const faults = [];
  try {
    accessSync(chromium, constants.X_OK);
  } catch {
    faults.push(
      `no Chromium at ${chromium}: install it (Debian: apt-get install --no-install-recommends chromium fonts-noto-core ` +
        'fonts-noto-color-emoji), or say in CHROMIUM where it is',
    );
  }
  if (spawnSync('go', ['version']).status !== 0) faults.push('no Go: the broker is built before the tests (go.mod says which version)');
  return faults;
}

if (process.argv[1] === fileURLToPath(import.meta.url) && !skip) {
  const faults = missing();
  for (const fault of faults) console.error(`interop/browser: ${fault}`);
  if (faults.length > 0) console.error('interop/browser: INTEROP_BROWSER_SKIP=1 skips the suite');
  process.exitCode = faults.length > 0 ? 1 : 0;
}
