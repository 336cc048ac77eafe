// Browsers behind two Spring instances, half of them over SockJS: what the service sends to a topic and to its users comes, where nothing
// was restarted meanwhile. None of it is receipted.

import { Kind } from './kind.js';
import { Arrivals } from '../books/arrivals.js';
import { Deliveries } from '../books/deliveries.js';
import { Session } from '../clients/session.js';
import { SpringPlace } from '../clients/place.js';
import { until } from '../../harness/lines.js';

const topic = '/topic/spring.soak';
const userQueue = '/queue/updates';
const perInstance = 4;
const sendMillis = 250; // between two messages of the service

// How long nothing may have been disturbed before a message is sent, and after. Instances tell each other of their users every 10 s and
// believe it for 20 s: until then a user of the other instance may be sent what is for a session that has ended.
const beforeMillis = 3000;
const beforeOtherMillis = 25_000;
const afterMillis = 8000;
const before = (message, browser) => (message.user !== undefined && message.from !== browser.instance ? beforeOtherMillis : beforeMillis);

export class Browsers extends Kind {
  #browsers = [];
  #numberOfAll = 0;
  #timer;
  #sending = new Set();
  #failed = 0;

  /** @param {{instances: object[], disturbances: object}} options instances have `node`, the number of their relay's node */
  constructor({ instances, disturbances, ...options }) {
    super({ name: 'browsers', ...options });
    this.instances = instances;
    this.disturbances = disturbances;
    const disturbed = (name, from, until) => {
      const { node } = instances.find(instance => instance.name === name);
      return disturbances.any([`spring ${name}`, `node ${node}`], from, until);
    };
    this.deliveries = new Deliveries({ before, after: afterMillis, disturbed });
    for (const instance of instances) for (let i = 0; i < perInstance; i++) this.#add(instance, i % 2 === 0 ? 'sockjs' : 'websocket');
  }

  #add(instance, transport) {
    const user = `browser${++this.#numberOfAll}`;
    const session = this.browserSession(instance, transport, user, { delay: [500, 2000] });
    this.sessions.push(session);
    const browser = { name: `${user} (${transport})`, user, instance: instance.name, session, times: [] };
    browser.connectedAll = (from, until) => browser.times.some(time => time.from <= from && time.until >= until);
    this.#browsers.push(browser);
    browser.arrivals = new Arrivals({ name: browser.name, faults: this.faults });
    const take = options => ({ body, headers }) => browser.arrivals.take(JSON.parse(body).number, headers.copy, options);
    const [ofUser, ofTopic] = [take({ maySendTwice: true }), take({ maySendTwice: false })];
    session.onOpen = async () => {
      const outcomes = await Promise.all([session.subscribe(`/user${userQueue}`, {}, ofUser), session.subscribe(topic, {}, ofTopic)]);
      if (outcomes.every(outcome => outcome === 'receipt')) browser.times.push({ from: Date.now(), until: Infinity });
      else if (outcomes.every(outcome => outcome !== 'lost')) session.drop();
    };
    session.onClose = () => {
      const last = browser.times.at(-1);
      if (last?.until === Infinity) last.until = Date.now();
    };
  }

  /** A session with an instance, which is the caller's to end. */
  browserSession(instance, transport, user, options = {}) {
    const name = `browsers.${user}`;
    return new Session({ name, place: new SpringPlace({ instance, transport, user }), random: this.randomOf(name), ...options });
  }

  async open() {
    for (const { session } of this.#browsers) session.start();
    await until('all browsers to subscribe', () => this.#browsers.every(({ times }) => times.at(-1)?.until === Infinity), 120_000);
    // Each instance has told the other of its users: from here on each may send to all.
    await until('the instances to know all users', async () => {
      const counts = await Promise.all(this.instances.map(instance => instance.get('/users')));
      return counts.every(({ count }) => count >= this.#browsers.length);
    }, 60_000);
  }

  begin() {
    const random = this.randomOf('browsers.service');
    this.#timer = setInterval(() => {
      const instance = random.pick(this.instances);
      const user = random.chance(0.5) ? random.pick(this.#browsers).user : undefined;
      if (this.disturbances.now(`spring ${instance.name}`)) return; // there is nobody to ask
      const sending = this.#send(instance, user).finally(() => this.#sending.delete(sending));
      this.#sending.add(sending);
    }, sendMillis);
  }

  /** Has an instance send; what it refuses since its broker is away counts as failed and was not sent. */
  async #send(instance, user) {
    const number = this.deliveries.next();
    const at = Date.now();
    try {
      if (user === undefined) {
        await instance.send(topic, { number });
      } else {
        const { status, body } = await instance.post('/to-users', { users: [user], destination: userQueue, first: number, rounds: 1, millis: 0 });
        if (status !== 200 || body.sent !== 1) throw new Error(`${status} ${JSON.stringify(body)}`);
      }
    } catch {
      this.#failed++;
      return;
    }
    this.deliveries.sent({ number, at, from: instance.name, user });
  }

  stopNew() {
    clearInterval(this.#timer);
  }

  /** What was sent last has had its time. */
  settled() {
    return this.#sending.size === 0 && Date.now() > this.deliveries.lastAt + afterMillis;
  }

  missing() {
    return this.deliveries.judge(this.#browsers).missing;
  }

  received() {
    return this.#sumOf('received');
  }

  sums() {
    return { ...super.sums(), sent: this.deliveries.count, repeated: this.#sumOf('repeated') };
  }

  #sumOf(what) {
    return this.#browsers.reduce((sum, { arrivals }) => sum + arrivals[what], 0);
  }

  /** "lost" is what was due: nothing on its way had been disturbed. */
  more() {
    return { due: this.deliveries.judge(this.#browsers).due, failed: this.#failed };
  }

  async end() {
    this.stopNew();
    await Promise.allSettled(this.#sending);
    await Promise.all(this.sessions.map((session, i) => session.end({ polite: i % 2 === 0 })));
  }
}
