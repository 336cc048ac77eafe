// What was done to whom, when, and how long it took: the blows of a soak, for its report.

import { appendFileSync } from 'node:fs';

export class Journal {
  entries = [];
  counts = {};

  /** @param {string} file each entry goes there at once, as a line of JSON */
  constructor(file) {
    this.file = file;
    this.began = Date.now();
  }

  note(kind, what) {
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
    this.write({ kind, ...what });
  }

  /** Written down, and not counted. */
  write(entry) {
    const line = { time: new Date().toISOString(), second: Math.round((Date.now() - this.began) / 100) / 10, ...entry };
    this.entries.push(line);
    appendFileSync(this.file, `${JSON.stringify(line)}\n`);
  }
}
