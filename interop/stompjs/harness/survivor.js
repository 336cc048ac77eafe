// A stompjs client that lives through the end of its node by stompjs's own means: reconnectDelay, and a list of nodes that webSocketFactory goes through.

import { Client, ReconnectionTimeMode, Versions } from '@stomp/stompjs';
import { WebSocket } from 'ws';
import { until } from '../../harness/lines.js';
import { TCPSocket } from './tcp-socket.js';

export class Survivor {
  dials = 0; // sessions that were opened
  #attempts = 0;
  #receipts = 0;
  #waiting = new Map(); // receipt id -> what to do with its answer

  /** `onConnect` is called at each CONNECTED with the survivor. */
  constructor(cluster, way, numbers, onConnect = () => {}) {
    this.client = new Client({
      reconnectDelay: 50,
      maxReconnectDelay: 500,
      reconnectTimeMode: ReconnectionTimeMode.EXPONENTIAL,
      connectionTimeout: 5000,
      heartbeatIncoming: 0,
      heartbeatOutgoing: 0,
      stompVersions: new Versions([way.version]),
      webSocketFactory: () => {
        const number = numbers[this.#attempts++ % numbers.length];
        if (way.transport === 'tcp') return new TCPSocket(cluster.port(number));
        return new WebSocket(cluster.webSocketURL(number), this.client.stompVersions.protocolVersions());
      },
      onConnect: () => {
        this.dials++;
        onConnect(this);
      },
      onWebSocketClose: () => this.#answer(false),
      onStompError: frame => this.#answer(false, frame.headers['receipt-id']),
    });
    this.client.activate();
  }

  async connected() {
    await until('a node that takes the session', () => this.client.connected);
    return this;
  }

  /** Sends with a receipt; resolves to true when it came, to false on an ERROR or when the connection was lost before. */
  send(destination, body) {
    return this.ask(receipt => this.client.publish({ destination, body, headers: { receipt } }));
  }

  ask(post) {
    const receipt = `r-${++this.#receipts}`;
    return new Promise(resolve => {
      this.#waiting.set(receipt, resolve);
      try {
        this.client.watchForReceipt(receipt, () => this.#answer(true, receipt));
        post(receipt);
      } catch {
        this.#answer(false, receipt); // stompjs has no connection
      }
    });
  }

  /** Answers one who waits, or all. */
  #answer(receipted, ...receipts) {
    for (const receipt of receipts.length > 0 ? receipts : [...this.#waiting.keys()]) {
      this.#waiting.get(receipt)?.(receipted);
      this.#waiting.delete(receipt);
    }
  }

  async end() {
    await this.client.deactivate({ force: true });
  }
}

/** Sends numbered messages. What got no receipt because the connection was lost is sent again, and is noted: it may be there twice. */
export class Publisher extends Survivor {
  sent = [];
  repeated = [];

  constructor(cluster, way, numbers, destination, word) {
    super(cluster, way, numbers);
    this.destination = destination;
    this.word = word;
  }

  /** Posts at once, and resolves when all have their receipts. */
  publish(count) {
    const bodies = Array.from({ length: count }, (_, i) => `${this.word} ${this.sent.length + i}`);
    this.sent.push(...bodies);
    return Promise.all(
      bodies.map(async body => {
        while (!(await this.send(this.destination, body))) {
          this.repeated.push(body);
          await this.connected();
        }
      }),
    );
  }
}

/** Subscribes to a topic at each CONNECTED, and goes on after the last message that it saw. */
export class Follower extends Survivor {
  got = [];
  #last;

  constructor(cluster, way, numbers, topic) {
    super(cluster, way, numbers, follower => {
      const note = message => {
        follower.got.push(message.body);
        follower.#last = message.headers['message-id'];
      };
      const position = follower.#last ? { 'resume-after': follower.#last } : {};
      follower.subscribed = follower.ask(receipt => follower.client.subscribe(topic, note, { ...position, receipt }));
    });
  }
}

/** Takes from a queue at each CONNECTED, and acknowledges with receipts. */
export class Worker extends Survivor {
  settled = new Set();
  unsure = new Set(); // the connection was lost before the receipt, or it is still waited for
  late = []; // came again after its receipt

  constructor(cluster, way, numbers, queue) {
    super(cluster, way, numbers, worker => {
      const take = async message => {
        if (worker.settled.has(message.body)) worker.late.push(message.body);
        worker.unsure.add(message.body);
        if (await worker.ask(receipt => message.ack({ receipt }))) {
          worker.unsure.delete(message.body);
          worker.settled.add(message.body);
        }
      };
      worker.subscribed = worker.ask(receipt => worker.client.subscribe(queue, take, { ack: 'client-individual', receipt }));
    });
  }
}
