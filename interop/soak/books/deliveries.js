// What a service sent to browsers, without receipts, and which of it should have come: to those that were connected and undisturbed, as
// was the sender, from well before until well after.

export class Deliveries {
  #sent = []; // {number, at, from, user}; without user it went to a topic
  #next = 1;

  /**
   * @param {{before: (message: object, browser: object) => number, after: number, disturbed: (instance: string, from: number, until: number) => boolean}} options
   *   the margins in ms, and whether an instance or its node was disturbed in a time
   */
  constructor({ before, after, disturbed }) {
    this.before = before;
    this.after = after;
    this.disturbed = disturbed;
  }

  next() {
    return this.#next++;
  }

  /** The sender's framework took it at a moment. */
  sent(message) {
    this.#sent.push(message);
  }

  /** When the last one was sent. */
  get lastAt() {
    return this.#sent.at(-1)?.at ?? 0;
  }

  get count() {
    return this.#sent.length;
  }

  /**
   * Goes through what was sent, for some browsers.
   *
   * @param {{name: string, user: string, instance: string, arrivals: Arrivals, connectedAll: (from: number, until: number) => boolean}[]} browsers
   */
  judge(browsers) {
    let due = 0;
    const missing = [];
    for (const message of this.#sent) {
      const { number, at, from, user } = message;
      for (const browser of browsers) {
        if (user !== undefined && user !== browser.user) continue;
        const [begin, end] = [at - this.before(message, browser), at + this.after];
        if (!browser.connectedAll(begin, end) || this.disturbed(from, begin, end) || this.disturbed(browser.instance, begin, end)) continue;
        due++;
        if (browser.arrivals.has(number)) continue;
        const what = user === undefined ? 'to the topic' : 'to its user';
        missing.push(`${browser.name} at ${browser.instance}: number ${number} from ${from} ${what}, sent at ${new Date(at).toISOString()}`);
      }
    }
    return { due, missing };
  }
}
