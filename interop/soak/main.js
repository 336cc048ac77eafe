// Runs one soak and ends with 0 when all held, 1 when something did not, 2 when it was told nonsense, 130 when it was interrupted.

import { failures, print } from './report.js';
import { readSettings } from './settings.js';
import { Soak } from './soak.js';

let settings;
try {
  settings = readSettings(process.argv.slice(2), process.env);
} catch (error) {
  console.error(`soak: ${error.message}`);
  process.exit(2);
}

const soak = new Soak(settings);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    if (soak.report.interrupted) process.exit(130); // the second time: the children end with their standard input
    console.log('interrupted: ending everything');
    soak.interrupt();
  });
}
process.on('uncaughtException', error => soak.fail(error));

console.log(`soak of ${settings.duration}, seed ${settings.seed}${settings.spring ? '' : ', without Spring'}`);
const report = await soak.run();
report.failures = failures(report);
print(report);
await soak.write(report.failures.length > 0);
process.exit(report.interrupted ? 130 : report.failures.length > 0 ? 1 : 0);
