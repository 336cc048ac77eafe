// User destinations: receipted SENDs to users whose sessions are on several nodes, resume or take what waits, and are away at times.

import { Kind } from './kind.js';
import { Reach } from '../books/reach.js';
import { Reading } from '../books/reading.js';
import { numbered, offsetOf, resuming, Subscriber } from '../clients/subscriber.js';

const queue = '/queue/soak.notes';
const subscribed = `/user${queue}`;
const destinationOf = user => `/user/${user.replaceAll('/', '%2F')}${queue}`;

// ann's sessions resume: each gets all. bob's do not: each message reaches one at least. cyd has one, which stays away for a while
// after each connection; what comes meanwhile waits. bob and cyd acknowledge: in auto what a socket took may be lost with it.
const users = { resuming: 'ann', plain: 'team/bob', away: 'cyd' };

export class Users extends Kind {
  #subscribers = [];
  #readings = [];
  #reaches = new Map(); // user -> Reach

  constructor(options) {
    super({ name: 'users', ...options });
    for (const { number } of this.cluster.nodes) this.#resume(users.resuming, number);
    for (const { number } of this.cluster.nodes.slice(0, 2)) this.#wait(users.plain, { home: number });
    this.#wait(users.away, { delay: [2000, 12_000] });
    const destinations = Object.values(users).map(destinationOf);
    for (const transport of ['tcp', 'websocket']) this.publisher(destinations, { perSecond: 6, transport });
  }

  #resume(user, home) {
    const session = this.session(user, { home, login: user });
    const reading = new Reading({ name: session.name, faults: this.faults });
    this.#readings.push(reading);
    this.#subscribe(session, resuming, ({ stream, number, copy }, message) => reading.take(stream, number, copy, offsetOf(message)));
  }

  #wait(user, options) {
    const session = this.session(user, { login: user, ...options });
    const reach = this.#reaches.get(user) ?? new Reach();
    this.#reaches.set(user, reach);
    this.#subscribe(session, () => ({ ack: 'client-individual' }), ({ stream, number }, message, generation) => {
      reach.take(stream, number);
      session.ack(message, generation, () => {}); // what has no receipt may come again
    });
  }

  #subscribe(session, headers, take) {
    this.#subscribers.push(
      new Subscriber({
        session,
        destination: subscribed,
        headers,
        take: (message, generation) => {
          const { stream, ...numbers } = numbered(message);
          take({ stream: this.streams.get(stream), ...numbers }, message, generation);
        },
      }),
    );
  }

  open() {
    return Promise.all(this.#subscribers.map(subscriber => subscriber.start()));
  }

  missing() {
    const of = user => [...this.streams.values()].filter(stream => stream.destination === destinationOf(user));
    return [
      ...this.#readings.flatMap(reading => reading.missing(of(users.resuming))),
      ...[...this.#reaches].flatMap(([user, reach]) => reach.missing(of(user)).map(what => `${user}: ${what}`)),
    ];
  }

  received() {
    const all = [...this.#readings, ...this.#reaches.values()];
    return all.reduce((sum, { received }) => sum + received, 0);
  }

  more() {
    const twins = this.#readings.reduce((sum, { repeated }) => sum + repeated, 0);
    return { twins, reached: Object.fromEntries([...this.#reaches].map(([user, { received }]) => [user, received])) };
  }
}
