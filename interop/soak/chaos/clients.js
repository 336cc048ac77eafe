// Blows to the clients: some lose their sockets, some leave and come back, and bursts of sessions come and go. Who is away from home goes
// back there after a while, so that each node has its share.

import { NodePlace, transports } from '../clients/place.js';
import { Session } from '../clients/session.js';
import { Pace } from './pace.js';

const awayMillisMin = 8000; // a session stays with another node for so long at least
const burstSessions = 30;
const burstBrowsers = 6;
const burstMillis = 15_000; // within which a burst has connected and gone, or is ended

export class ClientChaos {
  #pace = new Pace();
  #bursts = 0;
  #guests = new Set(); // sessions of the present burst

  /** @param {{kinds: object[], browsers?: object, cluster: object, random: object, randomOf: Function, journal: object, nodeUp: (n: number) => boolean}} options */
  constructor(options) {
    Object.assign(this, options);
    this.deal = this.random.deal(['drop', 'drop', 'home', 'home', 'burst', 'drop', 'home']);
  }

  async run() {
    while (await this.#pace.wait(this.random.between(...this.between))) {
      const how = this.deal();
      if (how === 'burst') await this.#burst();
      else if (how === 'drop') this.#drop();
      else this.#home();
    }
  }

  stop() {
    this.#pace.stop();
  }

  /** Ends what is left of a burst, when everything ends early. */
  async end() {
    this.stop();
    await Promise.all([...this.#guests].map(session => session.end({ polite: false })));
  }

  #sessions() {
    return this.kinds.flatMap(kind => kind.sessions).filter(session => session.open);
  }

  #drop() {
    const sessions = this.random.shuffled(this.#sessions()).slice(0, 1 + this.random.below(4));
    for (const session of sessions) session.drop();
    this.journal.note('clients: sockets dropped', { sessions: sessions.map(({ name }) => name) });
  }

  #home() {
    const strangers = this.#sessions().filter(({ place, openedAt }) =>
      place instanceof NodePlace && place.node !== place.home && this.nodeUp(place.home) && Date.now() - openedAt > awayMillisMin,
    );
    const going = this.random.shuffled(strangers).slice(0, 12);
    for (const session of going) {
      session.place.goHome();
      if (this.random.chance(0.5)) session.drop();
      else session.leave();
    }
    this.journal.note('clients: went home', { sessions: going.map(({ name }) => name) });
  }

  /** Sessions that all come at once, subscribe and go again, some without a word. */
  async #burst() {
    const burst = ++this.#bursts;
    const guests = Array.from({ length: burstSessions }, (_, i) => this.#guest(`burst${burst}.${i}`));
    for (let i = 0; this.browsers && i < burstBrowsers; i++) guests.push(this.#browser(`burst${burst}.browser${i}`));
    let came = 0;
    for (const { session, destination } of guests) {
      this.#guests.add(session);
      session.onOpen = async () => {
        if ((await session.subscribe(destination, {}, () => {})) === 'receipt') came++;
      };
      session.start();
    }
    const deadline = Date.now() + burstMillis;
    while (came < guests.length && Date.now() < deadline && (await this.#pace.wait(200)));
    await Promise.all(guests.map(({ session }) => session.end({ polite: this.random.chance(0.5) })));
    this.#guests.clear();
    this.journal.note('clients: bursts', { sessions: guests.length, subscriptions: came });
  }

  #guest(name) {
    const { cluster, random } = this;
    const place = new NodePlace({ cluster, random, transport: random.pick(transports), home: random.pick(cluster.nodes).number });
    const destination = random.pick(['/topic/soak.prices', '/user/queue/soak.guests', '/topic/soak.*']);
    return { session: new Session({ name, place, random }), destination };
  }

  #browser(name) {
    const transport = this.random.pick(['sockjs', 'websocket']);
    return { session: this.browsers.browserSession(this.random.pick(this.browsers.instances), transport, name), destination: '/user/queue/updates' };
  }
}
