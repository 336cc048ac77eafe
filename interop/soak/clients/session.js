// One stompjs client that connects again by itself, elsewhere, and knows what has become of each frame that it wrote.

import { Client, Versions } from '@stomp/stompjs';

const connectMillis = 15_000; // a paused node takes the connection and says nothing
const endMillis = 20_000;
const historyMax = 1000; // connections that are remembered, of the latest

export class Session {
  open = false;
  openedAt = 0;
  connects = 0;
  losses = 0;
  history = []; // {node, opened, closed} of each connection, as times in words
  errors = new Map(); // code -> how often
  onOpen = () => {}; // on each connection, after CONNECTED
  onClose = () => {};
  #pending = new Map(); // receipt id -> what to do with the outcome
  #receipts = 0;
  #generation = 0; // of connections: what comes of an older one is ignored
  #taking = false; // messages of this connection; to the end of one that is left politely, as DISCONNECT says that all before it came
  #ended = false;

  /**
   * @param {{name: string, place: {socket: (versions: string[]) => object}, random: object, login?: string, delay?: [number, number]}} options
   *   place chooses where each connection goes; delay is between two connections, in ms
   */
  constructor({ name, place, random, login = name, delay = [100, 600] }) {
    this.name = name;
    this.place = place;
    this.client = new Client({
      connectHeaders: { login, passcode: 'none', host: 'soak' },
      reconnectDelay: 500,
      connectionTimeout: connectMillis,
      heartbeatIncoming: 10_000,
      heartbeatOutgoing: 10_000,
      discardWebsocketOnCommFailure: true,
      stompVersions: new Versions(['1.2']),
      webSocketFactory: () => place.socket(this.client.stompVersions.protocolVersions()),
      onConnect: () => {
        this.#generation++;
        this.open = true;
        this.#taking = true;
        this.openedAt = Date.now();
        this.connects++;
        this.history = [...this.history.slice(1 - historyMax), { node: place.node, opened: new Date().toISOString() }];
        loudly(() => this.onOpen());
      },
      onStompError: frame => this.#error(frame),
      onUnhandledReceipt: frame => this.#settle(frame.headers['receipt-id'], 'receipt'),
      onWebSocketClose: () => {
        this.#close();
        this.client.reconnectDelay = random.between(...delay);
      },
    });
  }

  start() {
    this.client.activate();
    return this;
  }

  /**
   * SENDs; `outcome` is told once: 'receipt', 'lost' when the connection ended before, or the code of an ERROR.
   * Without `outcome` no receipt is asked for.
   */
  send(destination, body, headers, outcome) {
    this.client.publish({ destination, body, headers: outcome ? { ...headers, receipt: this.#expect(outcome) } : headers });
  }

  /** SUBSCRIBEs on this connection; gives the outcome of the SUBSCRIBE. */
  subscribe(destination, headers, take) {
    const generation = this.#generation;
    return new Promise(resolve => {
      const onMessage = message => {
        if (generation === this.#generation && this.#taking) loudly(() => take(message, generation));
      };
      this.client.subscribe(destination, onMessage, { ...headers, receipt: this.#expect(resolve) });
    });
  }

  /** ACKs a message of a generation of connections; false when that one is over. */
  ack(message, generation, outcome) {
    if (generation !== this.#generation || !this.open) return false;
    message.ack({ receipt: this.#expect(outcome) });
    return true;
  }

  /** How long the oldest frame without an outcome has waited, in ms. */
  waited() {
    const [oldest] = this.#pending.values();
    return oldest ? Date.now() - oldest.since : 0;
  }

  /** Drops the connection without a word; another one follows. */
  drop() {
    this.#closed('dropped');
    this.open = false;
    this.#taking = false;
    this.client.forceDisconnect();
  }

  /** DISCONNECT with a receipt; another connection follows. */
  async leave() {
    if (this.#ended || !this.open) return;
    await this.#deactivate();
    if (!this.#ended) this.client.activate();
  }

  /** The end: polite, or dropped. */
  async end({ polite = true } = {}) {
    this.#ended = true;
    if (polite && this.open) await this.#deactivate();
    await this.client.deactivate({ force: true });
    this.#close();
  }

  async #deactivate() {
    this.#closed('left');
    this.open = false; // nothing is written behind DISCONNECT; receipts of what was before it still count
    let timer;
    const late = new Promise(resolve => (timer = setTimeout(resolve, endMillis)));
    await Promise.race([this.client.deactivate(), late]);
    clearTimeout(timer);
    await this.client.deactivate({ force: true }); // nothing if it has ended
  }

  #expect(outcome) {
    const id = `r-${++this.#receipts}`;
    this.#pending.set(id, { outcome, since: Date.now() });
    return id;
  }

  #settle(id, result) {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.outcome(result);
  }

  #error(frame) {
    const code = frame.headers['error-code'] ?? frame.headers.message ?? 'unknown';
    this.errors.set(code, (this.errors.get(code) ?? 0) + 1);
    if (frame.headers['receipt-id']) this.#settle(frame.headers['receipt-id'], code);
  }

  #closed(how) {
    const last = this.history.at(-1);
    if (last && !last.closed) Object.assign(last, { closed: new Date().toISOString(), how });
  }

  #close() {
    this.#closed('lost');
    const was = this.open || this.#pending.size > 0;
    this.open = false;
    this.#taking = false;
    this.#generation++;
    if (was) this.losses++;
    const lost = [...this.#pending.values()];
    this.#pending.clear();
    for (const { outcome } of lost) outcome('lost');
    this.onClose();
  }
}

/** stompjs swallows what its callbacks throw; a mistake of the soak must not look like a message that came. */
function loudly(callback) {
  try {
    callback();
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}
