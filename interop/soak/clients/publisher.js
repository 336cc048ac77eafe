// Sends numbered messages at a rate, with receipts; what has none when the connection ends is sent again on the next one, in the same order.

const windowMax = 60; // messages without a receipt; then it waits

/** How long a publisher waits for a receipt until it tries another node. */
const patienceMillis = 12_000;

export class Publisher {
  #queue = []; // messages without a receipt, in their order
  #timer;
  #turn = 0;
  #stopped = false;

  /**
   * @param {{session: object, streams: object[], perSecond: number, headers?: object, padding?: string}} options
   *   the streams are written to in turn
   */
  constructor({ session, streams, perSecond, padding = '' }) {
    this.session = session;
    this.streams = streams;
    this.padding = padding;
    session.onOpen = () => this.#writeAll();
    this.millis = 1000 / perSecond;
  }

  start() {
    this.#timer = setInterval(() => this.#tick(), this.millis);
  }

  /** No more messages; what is on its way goes on. */
  stopNew() {
    this.#stopped = true;
  }

  get unreceipted() {
    return this.#queue.length;
  }

  end() {
    clearInterval(this.#timer);
  }

  #tick() {
    if (this.session.open && this.session.waited() > patienceMillis) this.session.drop();
    if (this.#stopped || this.#queue.length >= windowMax) {
      if (this.session.open) this.#writeAll();
      return;
    }
    const stream = this.streams[this.#turn++ % this.streams.length];
    this.#queue.push({ stream, number: stream.next(), copy: 0, written: false, notBefore: 0 });
    if (this.session.open) this.#writeAll();
  }

  #writeAll() {
    const now = Date.now();
    for (const message of this.#queue) if (!message.written && message.notBefore <= now) this.#write(message);
  }

  #write(message) {
    const { stream, number } = message;
    const copy = ++message.copy;
    message.written = true;
    stream.write(copy);
    const headers = { stream: stream.id, number: String(number), copy: String(copy), 'content-type': 'text/plain' };
    this.session.send(stream.destination, `${stream.id} ${number} ${this.padding}`, headers, outcome => this.#outcome(message, outcome));
  }

  #outcome(message, outcome) {
    const { stream, number } = message;
    if (outcome === 'receipt') {
      stream.receipt(number);
      this.#queue.splice(this.#queue.indexOf(message), 1);
      return;
    }
    message.written = false;
    if (outcome === 'lost') {
      stream.inDoubt++;
      return; // the next connection begins with all that is left, in order
    }
    if (outcome === 'outcome-unknown') stream.inDoubt++;
    else stream.refused++;
    stream.overtake(number); // later ones may have been taken
    message.notBefore = Date.now() + 1000;
  }
}
