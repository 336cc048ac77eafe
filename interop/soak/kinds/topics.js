// Topics: receipted publishers, and subscribers on every node that resume; each message once, in order, at each of them.

import { Kind } from './kind.js';
import { Reading } from '../books/reading.js';
import { numbered, offsetOf, resuming, Subscriber } from '../clients/subscriber.js';

const topics = ['/topic/soak.prices', '/topic/soak.news', '/topic/soak.orders'];
const padding = 'x'.repeat(100); // bytes of an ordinary message

export class Topics extends Kind {
  #readings = [];

  constructor(options) {
    super({ name: 'topics', ...options });
    this.subscribers = [];
    for (const { number } of this.cluster.nodes) {
      this.#subscribe('/topic/soak.*', number, 'tcp');
      this.#subscribe('/topic/soak.*', number, 'websocket');
      this.#subscribe(topics[number % topics.length], number, number % 2 === 0 ? 'tcp' : 'websocket');
    }
    for (const transport of ['tcp', 'websocket', 'tcp', 'websocket']) this.publisher(topics, { perSecond: 10, transport, padding });
  }

  #subscribe(destination, home, transport) {
    const session = this.session('subscriber', { home, transport });
    const reading = new Reading({ name: `${session.name} (${destination})`, faults: this.faults });
    this.#readings.push({ reading, destination });
    this.subscribers.push(
      new Subscriber({
        session,
        destination,
        headers: resuming,
        take: message => {
          const { stream, number, copy } = numbered(message);
          reading.take(this.streams.get(stream), number, copy, offsetOf(message));
          if (message.headers['resume-gap']) this.faults.note('gap', `${session.name}: ${JSON.stringify(message.headers)}`);
        },
      }),
    );
  }

  open() {
    return Promise.all(this.subscribers.map(subscriber => subscriber.start()));
  }

  missing() {
    const all = [...this.streams.values()];
    return this.#readings.flatMap(({ reading, destination }) =>
      reading.missing(destination.endsWith('*') ? all : all.filter(stream => stream.destination === destination)),
    );
  }

  received() {
    return this.#readings.reduce((sum, { reading }) => sum + reading.received, 0);
  }

  more() {
    return { twins: this.#readings.reduce((sum, { reading }) => sum + reading.repeated, 0) };
  }
}
