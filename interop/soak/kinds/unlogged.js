// persistent:false: at most once, in one order for each session of a publisher; what is lost is counted and no fault.

import { Kind } from './kind.js';
import { Reading } from '../books/reading.js';
import { Stream } from '../books/stream.js';
import { numbered, Subscriber } from '../clients/subscriber.js';

const topic = '/topic/ticker.unlogged';
const perSecond = 10; // for each publisher

export class Unlogged extends Kind {
  #subscribers = [];
  #readings = [];
  #senders = [];
  #timers = [];

  constructor(options) {
    super({ name: 'unlogged', ...options });
    for (const { number } of this.cluster.nodes) this.#subscribe(number);
    for (const transport of ['tcp', 'websocket']) this.#senders.push(this.session('sender', { transport }));
  }

  #subscribe(home) {
    const session = this.session('subscriber', { home });
    const reading = new Reading({ name: session.name, faults: this.faults });
    this.#readings.push(reading);
    const take = message => {
      const { stream, number, copy } = numbered(message);
      reading.take(this.streams.get(stream), number, copy);
    };
    this.#subscribers.push(new Subscriber({ session, destination: topic, headers: () => ({}), take }));
  }

  open() {
    return Promise.all(this.#subscribers.map(subscriber => subscriber.start()));
  }

  begin() {
    for (const session of this.#senders) {
      let stream;
      session.onOpen = () => {
        stream = new Stream(`${session.name}#${session.connects}`, topic); // the order is one session's
        this.streams.set(stream.id, stream);
      };
      session.start();
      this.#timers.push(setInterval(() => session.open && this.#send(session, stream), 1000 / perSecond));
    }
  }

  #send(session, stream) {
    const number = stream.next();
    stream.write(1);
    session.send(topic, `${number}`, { stream: stream.id, number: String(number), copy: '1', persistent: 'false' });
  }

  stopNew() {
    for (const timer of this.#timers) clearInterval(timer);
  }

  missing() {
    return []; // nothing of it is receipted
  }

  received() {
    return this.#readings.reduce((sum, { received }) => sum + received, 0);
  }

  more() {
    const wanted = this.sums().sent * this.#readings.length;
    return { notReceived: wanted - this.received() };
  }

  async end() {
    this.stopNew();
    await super.end();
  }
}
