// What all kinds of traffic have in common: clients on the nodes, numbered streams, and a count of what came of them.

import { NodePlace, transports } from '../clients/place.js';
import { Publisher } from '../clients/publisher.js';
import { Session } from '../clients/session.js';
import { Faults } from '../books/reading.js';
import { Stream } from '../books/stream.js';

const namedMax = 20; // lost messages that the report names; the rest is counted

export class Kind {
  sessions = [];
  publishers = [];
  streams = new Map(); // id -> Stream
  faults = new Faults();
  #clients = 0;

  constructor({ name, cluster, randomOf }) {
    this.name = name;
    this.cluster = cluster;
    this.randomOf = randomOf;
  }

  /** A client whose home is a node; `transport` alternates when it is not given. */
  session(role, { home, transport, ...options } = {}) {
    const number = ++this.#clients;
    const name = `${this.name}.${role}${number}`;
    const random = this.randomOf(name);
    const { nodes } = this.cluster;
    const place = new NodePlace({
      cluster: this.cluster,
      transport: transport ?? transports[number % transports.length],
      home: home ?? nodes[number % nodes.length].number,
      random,
    });
    const session = new Session({ name, place, random, ...options });
    this.sessions.push(session);
    return session;
  }

  /** A publisher to some destinations. */
  publisher(destinations, { perSecond, transport, padding }) {
    const session = this.session('publisher', { transport });
    const streams = destinations.map(destination => new Stream(`${session.name}>${destination}`, destination));
    for (const stream of streams) this.streams.set(stream.id, stream);
    this.publishers.push(new Publisher({ session, streams, perSecond, padding }));
  }

  begin() {
    for (const publisher of this.publishers) {
      publisher.session.start();
      publisher.start();
    }
  }

  stopNew() {
    for (const publisher of this.publishers) publisher.stopNew();
  }

  /** All has its receipt, and all that has one came. */
  settled() {
    return this.publishers.every(publisher => publisher.unreceipted === 0) && this.missing().length === 0;
  }

  /** Sums over the streams. */
  sums() {
    const sums = { sent: 0, receipted: 0, repeated: 0, inDoubt: 0, refused: 0 };
    for (const stream of this.streams.values()) {
      sums.sent += stream.sent;
      sums.receipted += stream.receipted.size;
      sums.repeated += stream.repeats;
      sums.inDoubt += stream.inDoubt;
      sums.refused += stream.refused;
    }
    return sums;
  }

  result() {
    const missing = this.missing();
    const errors = {};
    for (const session of this.sessions) {
      for (const [code, count] of session.errors) errors[code] = (errors[code] ?? 0) + count;
    }
    return {
      ...this.sums(),
      unreceipted: this.publishers.reduce((sum, publisher) => sum + publisher.unreceipted, 0),
      received: this.received(),
      lost: missing.length,
      lostFirst: missing.slice(0, namedMax),
      faults: this.faults.counts,
      faultsFirst: this.faults.first,
      connects: this.sessions.reduce((sum, session) => sum + session.connects, 0),
      losses: this.sessions.reduce((sum, session) => sum + session.losses, 0),
      errors,
      connections: Object.fromEntries(this.sessions.map(({ name, history }) => [name, history])),
      ...this.more(),
    };
  }

  /** What only some kinds have to tell. */
  more() {
    return {};
  }

  async end() {
    for (const publisher of this.publishers) publisher.end();
    await Promise.all(this.sessions.map(session => session.end()));
  }
}
