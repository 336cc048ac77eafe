// What runs in a browser: stompjs over a WebSocket or over SockJS, that connects again by itself and subscribes again when it has.

import { Client } from '@stomp/stompjs';
import SockJS from 'sockjs-client';
import { WebSocket } from 'ws';
import { until } from '../../harness/lines.js';

/** The ways to a Spring endpoint that most take. */
export const transports = ['websocket', 'sockjs'];

/** And where no WebSocket gets through. */
export const allTransports = [...transports, 'sockjs-http'];

const sockJS = { sockjs: ['websocket'], 'sockjs-http': ['xhr-streaming'] };

/** One user in front of one instance. */
export class Browser {
  received = []; // all messages of all subscriptions, in the order of their coming
  errors = []; // ERROR frames
  connects = 0;
  closes = 0;
  #subscriptions = [];
  #receipts = 0;
  #reopened; // all subscriptions, on the latest connection

  /** @param options stompjs's own */
  constructor(instance, user, { transport = 'websocket', reconnectDelay = 0, onMessage, ...options } = {}) {
    this.user = user;
    this.onMessage = onMessage;
    this.client = new Client({ reconnectDelay, heartbeatIncoming: 10_000, heartbeatOutgoing: 10_000, ...options });
    this.client.webSocketFactory = () =>
      (this.socket =
        transport in sockJS
          ? new SockJS(instance.sockJSURL(user), null, { timeout: 20_000, transports: sockJS[transport] })
          : new WebSocket(instance.webSocketURL(user), this.client.stompVersions.protocolVersions()));
    this.client.onConnect = frame => {
      this.connects++;
      this.connected = frame;
      this.#reopened = Promise.all(this.#subscriptions.map(subscription => this.#open(subscription)));
      this.#reopened.catch(() => {}); // the connection broke again: the next one does it again
    };
    this.client.onStompError = frame => this.errors.push(frame);
    this.client.onWebSocketClose = () => this.closes++;
  }

  /** Connects, and subscribes with a receipt to each of these: whatever is sent from then on comes. */
  async open(...destinations) {
    this.client.activate();
    await until(`${this.user} to connect`, () => {
      if (this.errors.length > 0 && this.connects === 0) throw new Error(this.errors[0].headers.message);
      return this.connects > 0;
    });
    for (const destination of destinations) await this.subscribe(destination);
    return this;
  }

  async subscribe(destination, headers = {}) {
    const subscription = { destination, headers };
    this.#subscriptions.push(subscription);
    const { connects } = this;
    try {
      await this.#open(subscription);
    } catch (error) {
      if (this.client.reconnectDelay === 0) throw error;
      await this.again(connects); // where it is subscribed with all others
    }
  }

  /** Waits until it is on another connection than the first so many, with all its subscriptions. */
  async again(connects) {
    await until(`${this.user} to come back`, async () => {
      if (this.connects <= connects || !this.client.connected) return false;
      await this.#reopened;
      return true;
    }, 120_000);
  }

  /** Subscribes without waiting for anything: Spring's own broker gives no receipts. */
  subscribeUnasked(destination) {
    this.#subscriptions.push({ destination, headers: {}, unasked: true });
    this.#open(this.#subscriptions.at(-1));
  }

  #open({ destination, headers, unasked }) {
    const take = message => {
      this.received.push(message);
      this.onMessage?.(message);
    };
    if (unasked) {
      this.client.subscribe(destination, take, headers);
      return undefined;
    }
    return this.#receipt(`SUBSCRIBE to ${destination}`, receipt => this.client.subscribe(destination, take, { ...headers, receipt }));
  }

  /** Sends and waits for the receipt, which the broker gives: it does not come for /app. */
  send(destination, body, headers = {}) {
    return this.#receipt(`SEND to ${destination}`, receipt =>
      this.client.publish({ destination, body, headers: { ...headers, receipt } }),
    );
  }

  async #receipt(what, write) {
    const id = `r-${++this.#receipts}`;
    const { closes } = this;
    let arrived = false;
    this.client.watchForReceipt(id, () => (arrived = true));
    write(id);
    await until(`the receipt of ${this.user}'s ${what}`, () => arrived || this.closes > closes);
    if (!arrived) throw new Error(`the connection of ${this.user} ended before the receipt of ${what}`);
  }

  /** Waits for so many messages and gives them. */
  async take(count) {
    await until(`${count} messages for ${this.user}, who has ${this.received.length}`, () => this.received.length >= count);
    return this.received.splice(0, count);
  }

  /** The bodies of so many messages, read as JSON. */
  async bodies(count) {
    return (await this.take(count)).map(message => JSON.parse(message.body));
  }

  /** DISCONNECT with a receipt, and the end of the connection. */
  async close() {
    await this.client.deactivate();
  }

  /** Drops the connection without a word. */
  async drop() {
    await this.client.deactivate({ force: true });
  }
}
