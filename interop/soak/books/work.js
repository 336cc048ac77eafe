// What consumers did with the messages of queues: each receipted one is processed, what was acknowledged never comes again.

import { Numbers } from './numbers.js';

export class Work {
  received = 0;
  redelivered = 0; // deliveries that said so
  acked = 0; // with a receipt
  gone = 0; // ACKs that were answered by delivery-gone
  ackInDoubt = 0; // ACKs without an outcome
  #streams = new Map(); // stream id -> {processed, acked}
  #open = new Map(); // key of a copy -> deliveries, until it is acked with a receipt
  #ackedRepeats = new Set(); // keys of copies but the first

  constructor({ faults }) {
    this.faults = faults;
  }

  take(stream, number, copy, redelivered, by) {
    this.received++;
    if (redelivered) this.redelivered++;
    const key = `${stream.id}/${number}/${copy}`;
    const what = () => `${by} got number ${number} (copy ${copy}) of ${stream.id}`;
    const part = this.#part(stream);
    if (copy === 1 ? part.acked.has(number) : this.#ackedRepeats.has(key)) {
      this.faults.note('again', `${what()}, which was acknowledged with a receipt`);
      return;
    }
    const deliveries = this.#open.get(key) ?? 0;
    if (deliveries > 0 && !redelivered) this.faults.note('unmarked', `${what()} for the second time without redelivered:true`);
    this.#open.set(key, deliveries + 1);
    part.processed.add(number);
  }

  /** What became of an ACK: 'receipt', 'lost' or the code of an ERROR. */
  settle(stream, number, copy, outcome) {
    if (outcome === 'delivery-gone') this.gone++;
    else if (outcome !== 'receipt') this.ackInDoubt++;
    if (outcome !== 'receipt') return;
    this.acked++;
    const key = `${stream.id}/${number}/${copy}`;
    this.#open.delete(key);
    if (copy === 1) this.#part(stream).acked.add(number);
    else this.#ackedRepeats.add(key);
  }

  missing(streams) {
    return streams.flatMap(stream => this.#part(stream).processed.lacking(stream.receipted).map(number => stream.describe(number)));
  }

  #part(stream) {
    let part = this.#streams.get(stream.id);
    if (!part) this.#streams.set(stream.id, (part = { processed: new Numbers(), acked: new Numbers() }));
    return part;
  }
}
