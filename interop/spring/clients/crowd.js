// Very many browsers in front of one instance, who count what comes.

import { Browser, transports } from './browser.js';
import { until } from '../../harness/lines.js';

const atOnce = 25;

export class Crowd {
  /** @param receipts false for a broker that gives none for SUBSCRIBE */
  constructor(instance, count, { receipts = true } = {}) {
    this.instance = instance;
    this.receipts = receipts;
    this.latencies = []; // milliseconds from convertAndSend to the browser
    this.measuring = false;
    this.members = Array.from({ length: count }, (_, i) => {
      const got = new Map(); // how often, by number
      const user = `${instance.name}-${i}`;
      const browser = new Browser(instance, user, {
        transport: transports[i % 2],
        reconnectDelay: 1_000,
        onMessage: message => this.#count(got, message),
      });
      return { user, browser, got };
    });
  }

  #count(got, message) {
    const { number, sentNanos } = JSON.parse(message.body);
    got.set(number, (got.get(number) ?? 0) + 1);
    if (this.measuring) this.latencies.push((Number(process.hrtime.bigint()) - sentNanos) / 1e6);
  }

  get users() {
    return this.members.map(member => member.user);
  }

  /** Connects all of them, a few at a time. */
  async open(destinations) {
    const waiting = [...this.members];
    const open = async () => {
      for (let member; (member = waiting.shift()); ) {
        await member.browser.open(...(this.receipts ? destinations : []));
        if (!this.receipts) for (const destination of destinations) member.browser.subscribeUnasked(destination);
        member.browser.received = { push() {}, length: 0 }; // counted, not kept
      }
    };
    await Promise.all(Array.from({ length: atOnce }, open));
  }

  get connected() {
    return this.members.filter(({ browser }) => browser.client.connected).length;
  }

  /** Messages that came to whom they were for, each counted once. */
  get arrived() {
    return this.members.reduce((sum, { got }) => sum + got.size, 0);
  }

  /** Messages that came again. */
  get repeated() {
    return this.members.reduce((sum, { got }) => [...got.values()].reduce((all, times) => all + times - 1, sum), 0);
  }

  /** Connections lost since the last call. */
  closes() {
    const all = this.members.reduce((sum, { browser }) => sum + browser.closes, 0);
    const fresh = all - (this.seenCloses ?? 0);
    this.seenCloses = all;
    return fresh;
  }

  /** Waits until everybody got this number. */
  begun(number) {
    return until(`number ${number} to come to all`, () => this.members.every(({ got }) => got.has(number)));
  }

  /** Waits until everybody got all of these numbers, for a while, and says who did not and who got one twice. */
  async tally(numbers, millis = 30_000) {
    const missing = () =>
      this.members.reduce((sum, { got }) => sum + numbers.filter(number => !got.has(number)).length, 0);
    await until('everybody to have everything', () => missing() === 0, millis).catch(() => {});
    const of = this.members.map(({ got }) => numbers.map(number => got.get(number) ?? 0));
    return {
      expected: this.members.length * numbers.length,
      arrived: of.flat().filter(n => n > 0).length,
      missing: missing(),
      repeated: of.flat().reduce((sum, n) => sum + Math.max(0, n - 1), 0),
    };
  }

  async close() {
    await Promise.allSettled(this.members.map(({ browser }) => browser.drop()));
  }
}

/** The value below which that part of the numbers lies. */
export function percentile(values, part) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] : NaN;
}
