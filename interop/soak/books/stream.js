// What one publisher sent to one destination: numbered messages, each written once or, when its outcome was unknown, again.

import { Numbers } from './numbers.js';

export class Stream {
  sent = 0; // numbers given out
  receipted = new Numbers();
  written = 0; // copies, of all numbers
  repeats = 0; // copies but the first
  inDoubt = 0; // outcomes that were unknown
  refused = 0; // outcomes that were a plain no
  #overtaken = new Set(); // numbers that were repeated behind later ones: they have no place in the order

  constructor(id, destination) {
    this.id = id;
    this.destination = destination;
  }

  next() {
    return ++this.sent;
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
