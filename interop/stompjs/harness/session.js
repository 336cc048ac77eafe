// One stompjs client with promises in place of callbacks: connect, send with a receipt, subscribe to an inbox.

import { Client, Versions } from '@stomp/stompjs';
import { WebSocket } from 'ws';
import { TCPSocket } from './tcp-socket.js';

const waitMillis = 60_000; // longer than anything here takes on a busy machine; a test that waits it out has failed

/** The ways to the broker; every suite runs over each. */
export const ways = ['websocket', 'tcp'].flatMap(transport =>
  ['1.0', '1.1', '1.2'].map(version => ({
    transport,
    version,
    name: `${transport}.${version}`, // for destinations
    title: `${transport} in STOMP ${version}`,
  })),
);

/** Connects and gives a Session. Options are stompjs's own (ClientOptions fields). */
export async function connect(broker, way, options = {}) {
  const session = new Session(broker, way, options);
  await session.opened;
  return session;
}

/** Fails after a while, so that a lost message is a message and not a hang. */
export function within(promise, what, millis = waitMillis) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${millis} ms`)), millis);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export class Session {
  #receipts = 0;

  constructor(broker, { transport, version }, options) {
    this.client = new Client({
      reconnectDelay: 0,
      heartbeatIncoming: 0,
      heartbeatOutgoing: 0,
      stompVersions: new Versions([version]),
      ...options,
    });
    this.client.webSocketFactory = () =>
      transport === 'tcp'
        ? new TCPSocket(broker.stompPort)
        : new WebSocket(broker.webSocketURL, this.client.stompVersions.protocolVersions());
    this.opened = within(
      new Promise((resolve, reject) => {
        this.client.onConnect = frame => {
          this.connected = frame;
          resolve();
        };
        this.client.onWebSocketError = event => reject(new Error(`socket: ${event.message ?? event}`));
        this.failed = new Promise(failed => {
          this.client.onStompError = frame => {
            failed(frame);
            reject(new Error(`ERROR ${frame.headers['error-code']}: ${frame.headers.message}: ${frame.body}`));
          };
        });
      }),
      'CONNECTED',
    );
    this.opened.catch(() => {}); // reported to whoever awaits it
    this.closed = new Promise(resolve => {
      this.client.onWebSocketClose = resolve;
    });
    this.client.activate();
  }

  /** Sends and waits for the receipt: the message is in the log then. */
  send(destination, body, headers = {}) {
    const receipt = this.#receipt('SEND');
    const content = typeof body === 'string' ? { body } : { binaryBody: body };
    this.client.publish({ destination, ...content, headers: { ...headers, receipt: receipt.id } });
    return receipt.arrived;
  }

  /** Subscribes and waits for the receipt: whatever is sent from now on will come. */
  async subscribe(destination, headers = {}) {
    const inbox = new Inbox(destination);
    const receipt = this.#receipt('SUBSCRIBE', () => inbox.noteReceipt());
    inbox.subscription = this.client.subscribe(destination, message => inbox.put(message), { ...headers, receipt: receipt.id });
    await receipt.arrived;
    return inbox;
  }

  /** Acknowledges, or with `nack` refuses, and waits for the receipt. */
  settle(message, { nack = false, ...headers } = {}) {
    const receipt = this.#receipt(nack ? 'NACK' : 'ACK');
    message[nack ? 'nack' : 'ack']({ ...headers, receipt: receipt.id });
    return receipt.arrived;
  }

  /** Ends the subscription and waits for the receipt. */
  unsubscribe(inbox) {
    const receipt = this.#receipt('UNSUBSCRIBE');
    inbox.subscription.unsubscribe({ receipt: receipt.id });
    return receipt.arrived;
  }

  /** DISCONNECT with a receipt. */
  async close() {
    await within(this.client.deactivate(), 'end of the session');
  }

  /** Drops the connection without a word. */
  async drop() {
    await within(this.client.deactivate({ force: true }), 'end of the socket');
  }

  #receipt(command, note = () => {}) {
    const id = `r-${++this.#receipts}`;
    const arrived = new Promise((resolve, reject) => {
      this.client.watchForReceipt(id, frame => {
        note(); // at once: a MESSAGE may stand behind the RECEIPT in the same piece
        resolve(frame);
      });
      this.failed.then(frame => reject(new Error(`${command}: ERROR ${frame.headers['error-code']}: ${frame.body}`)));
    });
    return { id, arrived: within(arrived, `receipt for ${command}`) };
  }
}

/** What came to one subscription, in order. */
class Inbox {
  #messages = [];
  #waiting = [];
  #count = 0;

  constructor(destination) {
    this.destination = destination;
  }

  noteReceipt() {
    this.beforeReceipt = this.#count;
  }

  put(message) {
    this.#count++;
    const waiter = this.#waiting.shift();
    if (waiter) waiter(message);
    else this.#messages.push(message);
  }

  next() {
    if (this.#messages.length > 0) return Promise.resolve(this.#messages.shift());
    return within(new Promise(resolve => this.#waiting.push(resolve)), `message from ${this.destination}`);
  }

  /** The bodies of the next messages. */
  async bodies(count) {
    const bodies = [];
    for (let i = 0; i < count; i++) bodies.push((await this.next()).body);
    return bodies;
  }
}
