// What one publisher sent to one destination: numbered messages, each written once or, when its outcome was unknown, again.

import { Numbers } from './numbers.js';

export class Stream {
  sent = 0; // numbers given out
  receipted = new Numbers();
  written = 0; // copies, of all numbers
  repeats = 0; // copies but the first
  inDoubt = 0; // outcomes that were unknown
  refused = 0; // outcomes that were a plain no
  #times = []; // when each number got its receipt, in seconds since the stream began
  #began = Date.now();
  #overtaken = new Set(); // numbers that were repeated behind later ones: they have no place in the order

  constructor(id, destination) {
    this.id = id;
    this.destination = destination;
  }

  next() {
    return ++this.sent;
  }

  /** The receipt of a number came. */
  receipt(number) {
    this.receipted.add(number);
    this.#times[number] = (Date.now() - this.#began) / 1000;
  }

  /** A number in words that help to find it in the journal. */
  describe(number) {
    const time = new Date(this.#began + 1000 * (this.#times[number] ?? 0)).toISOString();
    return `number ${number} of ${this.id}, receipted at ${time}`;
  }

  write(copy) {
    this.written++;
    if (copy > 1) this.repeats++;
  }

  /** An ERROR answered this one while later ones may have been taken. */
  overtake(number) {
    this.#overtaken.add(number);
  }

  ordered(number) {
    return !this.#overtaken.has(number);
  }
}
