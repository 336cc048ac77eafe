// The connection: one STOMP client over WebSocket, straight to one of several nodes; when it breaks, to the next.

const { Client } = window.StompJs;

const reconnectMillis = 400; // before the first try of another node; doubled up to reconnectMillisMax while no node takes us
const reconnectMillisMax = 8_000;
const jitterMillis = 400; // at random on top: all pages of a node lose it at the same moment
const connectMillis = 6_000; // a machine that vanished does not refuse, it is silent
const heartbeatMillis = 10_000; // what the broker offers, too; stompjs gives a silent node up after two to three of them
const probeMillis = 3_000;
const lookMillis = 3_000; // between two looks whether a failed node is back

/**
 * States: `connecting` (nothing yet), `connected`, `reconnecting` (it broke, or no node answers), `refused` (nodes answer, and take no
 * connection of this page).
 */
export class Connection extends EventTarget {
  #tries = 0; // since the last connection
  #moving = false; // the page itself ends the connection
  #next;

  constructor({ nodes, first, login }) {
    super();
    this.nodes = nodes;
    this.current = first;
    this.#next = first;
    this.state = 'connecting';
    this.failed = new Set(); // nodes that did not answer when last tried
    this.client = new Client({
      connectHeaders: { login },
      reconnectDelay: reconnectMillis,
      reconnectTimeMode: window.StompJs.ReconnectionTimeMode.EXPONENTIAL,
      maxReconnectDelay: reconnectMillisMax,
      connectionTimeout: connectMillis,
      heartbeatIncoming: heartbeatMillis,
      heartbeatOutgoing: heartbeatMillis,
      heartbeatStrategy: 'worker', // browsers slow the timers of hidden tabs
      discardWebsocketOnCommFailure: true, // the closing handshake of a silent node would never end
      beforeConnect: () => this.#chooseNode(),
      onConnect: frame => this.#opened(frame),
      onWebSocketClose: event => this.#closed(event),
      onStompError: frame => this.dispatchEvent(new CustomEvent('refusal', { detail: frame })),
    });
  }

  get node() {
    return this.nodes[this.current];
  }

  get open() {
    return this.state === 'connected' && this.client.connected;
  }

  start() {
    this.client.activate();
  }

  /** Leaves the node politely, with DISCONNECT and its receipt, for another one. */
  async moveTo(index) {
    this.#next = index;
    this.#moving = true;
    await this.client.deactivate();
    this.#moving = false;
    this.#tries = 0;
    this.#become('connecting', `moving to ${this.nodes[index].name}`);
    this.client.activate();
  }

  async #chooseNode() {
    if (this.#tries > 0) await new Promise(resolve => setTimeout(resolve, Math.random() * jitterMillis));
    this.current = this.#next;
    this.client.brokerURL = this.node.ws;
    this.#become(this.state);
  }

  #opened({ headers }) {
    this.session = headers.session;
    this.#tries = 0;
    this.failed.delete(this.current);
    this.#become('connected', `connected to ${this.node.name}`);
    this.dispatchEvent(new Event('open'));
  }

  #closed({ code }) {
    if (this.#moving) return;
    this.#next = (this.current + 1) % this.nodes.length;
    this.#tries++;
    this.#fail(this.current);
    if (this.state === 'connected') {
      this.#become('reconnecting', code === 1012 ? `${this.node.name} sent us on` : `lost ${this.node.name}`);
    } else if (this.#tries % this.nodes.length === 0) {
      void this.#probe(); // a whole round was in vain
    } else {
      this.#become(this.state);
    }
  }

  /** Remembers that a node does not answer, until it does. */
  #fail(index) {
    if (this.failed.has(index)) return;
    this.failed.add(index);
    const look = setInterval(async () => {
      if (this.failed.has(index) && !(await answers(this.nodes[index]))) return;
      clearInterval(look);
      if (this.failed.delete(index)) this.#become(this.state);
    }, lookMillis);
  }

  /** A browser does not tell a page why a WebSocket was refused; whether the nodes answer at all can be found out. */
  async #probe() {
    const alive = (await Promise.all(this.nodes.map(answers))).some(Boolean);
    if (this.state === 'connected') return;
    this.#become(alive ? 'refused' : 'reconnecting');
  }

  #become(state, what) {
    this.state = state;
    this.dispatchEvent(new CustomEvent('change', { detail: { what } }));
  }
}

/** Whether a node answers at all; the page may not read what. */
async function answers({ health }) {
  try {
    await fetch(health, { mode: 'no-cors', signal: AbortSignal.timeout(probeMillis) });
    return true;
  } catch {
    return false;
  }
}
