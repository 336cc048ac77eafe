// What a soak is told: by the environment, as make does, or by flags of the same names.

import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('../../', import.meta.url));
const units = { s: 1, m: 60, h: 3600 };
const secondsMin = 30;
const secondsMax = 24 * 3600;

/** Reads them; throws with what is wrong. */
export function readSettings(args, environment) {
  const { values } = parseArgs({
    args,
    options: { for: { type: 'string' }, seed: { type: 'string' }, report: { type: 'string' }, 'without-spring': { type: 'boolean' }, keep: { type: 'boolean' } },
  });
  const duration = values.for ?? (environment.SOAK || '30m');
  const match = /^(\d+)([smh])$/.exec(duration);
  const seconds = match ? match[1] * units[match[2]] : NaN;
  if (!(seconds >= secondsMin && seconds <= secondsMax)) throw new Error(`SOAK is ${duration}: it is a time such as 90s, 3m or 1h, from 30s to 24h`);
  const given = values.seed ?? environment.SEED;
  const seed = Number(given && given !== '0' ? given : Math.floor(Math.random() * 1e9) + 1);
  if (!Number.isSafeInteger(seed)) throw new Error(`SEED is ${given}: it is a whole number`);
  return {
    duration,
    seconds,
    seed,
    spring: !values['without-spring'],
    keep: values.keep ?? false,
    reports: path.resolve(values.report ?? environment.REPORT ?? fileURLToPath(new URL('reports', import.meta.url)), `seed-${seed}`),
    binary: path.join(root, 'bin', 'stampede'),
    // A short soak has its share of blows too.
    betweenNodes: seconds < 600 ? [5_000, 15_000] : [20_000, 60_000],
    betweenInstances: seconds < 600 ? [20_000, 40_000] : [60_000, 180_000],
    betweenClients: seconds < 600 ? [2_000, 6_000] : [4_000, 12_000],
  };
}
