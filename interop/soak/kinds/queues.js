// Queues: receipted producers, and consumers on all nodes that acknowledge each message by itself, with a receipt.

import { Kind } from './kind.js';
import { Work } from '../books/work.js';
import { numbered, Subscriber } from '../clients/subscriber.js';

const queues = ['/queue/soak.jobs', '/queue/soak.mails'];
const workMillisMax = 150; // what a consumer takes for a message, at most
const prefetch = 20;

export class Queues extends Kind {
  #subscribers = [];
  #working = new Set(); // timers

  constructor(options) {
    super({ name: 'queues', ...options });
    this.work = new Work({ faults: this.faults });
    for (const { number } of this.cluster.nodes) for (const destination of queues) this.#consume(destination, number);
    for (const transport of ['tcp', 'websocket']) this.publisher(queues, { perSecond: 10, transport, padding: 'x'.repeat(100) });
  }

  #consume(destination, home) {
    const session = this.session('consumer', { home });
    const random = this.randomOf(`${session.name}.work`);
    this.#subscribers.push(
      new Subscriber({
        session,
        destination,
        headers: () => ({ ack: 'client-individual', 'prefetch-count': String(prefetch) }),
        take: (message, generation) => {
          const { stream: id, number, copy } = numbered(message);
          const stream = this.streams.get(id);
          this.work.take(stream, number, copy, message.headers.redelivered === 'true', `${session.name}, at node ${session.place.node} for ${Date.now() - session.openedAt} ms,`);
          const timer = setTimeout(() => {
            this.#working.delete(timer);
            session.ack(message, generation, outcome => this.work.settle(stream, number, copy, outcome));
          }, random.between(0, workMillisMax));
          this.#working.add(timer);
        },
      }),
    );
  }

  open() {
    return Promise.all(this.#subscribers.map(subscriber => subscriber.start()));
  }

  missing() {
    return this.work.missing([...this.streams.values()]);
  }

  received() {
    return this.work.received;
  }

  /** Names of the queues, which have to be empty at the end. */
  get destinations() {
    return queues;
  }

  more() {
    const { redelivered, acked, gone, ackInDoubt } = this.work;
    return { redelivered, acked, gone, ackInDoubt };
  }

  async end() {
    await super.end();
    for (const timer of this.#working) clearTimeout(timer);
  }
}
