// What one subscriber got of some streams, and what is wrong with it: each receipted message once, in order; again only what was repeated.

import { Numbers } from './numbers.js';

const faultsKept = 10; // of each kind are described; the rest is counted

/** Faults by kind, with the first ones in words. */
export class Faults {
  counts = {};
  first = [];

  note(kind, text) {
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
    if (this.counts[kind] <= faultsKept) this.first.push(`${kind}: ${text}`);
  }

  get total() {
    return Object.values(this.counts).reduce((sum, n) => sum + n, 0);
  }
}

export class Reading {
  received = 0;
  repeated = 0; // copies that came behind another of the same message
  #parts = new Map(); // stream id -> {numbers, last, copies}
  #offset = 0;

  /** @param {{name: string, faults: Faults}} options */
  constructor({ name, faults }) {
    this.name = name;
    this.faults = faults;
  }

  /** A message came. `offset` is given where offsets have to rise from message to message, connections between them or not. */
  take(stream, number, copy, offset) {
    this.received++;
    const what = () => `${this.name} got number ${number} (copy ${copy}) of ${stream.id}`;
    if (offset !== undefined) {
      if (offset <= this.#offset) this.faults.note('position', `${what()} at offset ${offset} behind ${this.#offset}`);
      this.#offset = Math.max(this.#offset, offset);
    }
    const part = this.#part(stream);
    if (!part.numbers.has(number)) {
      part.numbers.add(number);
      if (copy > 1) part.copies.set(number, new Set([copy]));
      if (stream.ordered(number)) {
        if (number < part.last) this.faults.note('disorder', `${what()} behind ${part.last}`);
        part.last = Math.max(part.last, number);
      }
      return;
    }
    const copies = part.copies.get(number) ?? new Set([1]); // most come once and are not remembered one by one
    if (copies.has(copy)) this.faults.note('again', `${what()}, which it had before`);
    else this.repeated++;
    part.copies.set(number, copies.add(copy));
  }

  /** The receipted ones that did not come. */
  missing(streams) {
    return streams.flatMap(stream => this.#part(stream).numbers.lacking(stream.receipted).map(number => `${this.name}: ${stream.describe(number)}`));
  }

  #part(stream) {
    let part = this.#parts.get(stream.id);
    if (!part) this.#parts.set(stream.id, (part = { numbers: new Numbers(), last: 0, copies: new Map() }));
    return part;
  }
}
