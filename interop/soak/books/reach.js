// What at least one of several sessions got: enough where a message may come to more than one, or more than once.

import { Numbers } from './numbers.js';

export class Reach {
  received = 0;
  #numbers = new Map(); // stream id -> Numbers

  take(stream, number) {
    this.received++;
    this.#of(stream).add(number);
  }

  missing(streams) {
    return streams.flatMap(stream => this.#of(stream).lacking(stream.receipted).map(number => stream.describe(number)));
  }

  #of(stream) {
    let numbers = this.#numbers.get(stream.id);
    if (!numbers) this.#numbers.set(stream.id, (numbers = new Numbers()));
    return numbers;
  }
}
