// Where connections go: to the nodes of the cluster, never twice in a row to the same, or to one Spring instance.

import SockJS from 'sockjs-client';
import { WebSocket } from 'ws';
import { TCPSocket } from '../../stompjs/harness/tcp-socket.js';

/** The ways to a node. */
export const transports = ['tcp', 'websocket'];

/** A client's way to the nodes. It begins at `home`, and after each connection goes to another node, by chance. */
export class NodePlace {
  #next;

  constructor({ cluster, transport, home, random }) {
    this.cluster = cluster;
    this.transport = transport;
    this.home = home;
    this.random = random;
    this.#next = home;
  }

  /** The next connection goes home. */
  goHome() {
    this.#next = this.home;
  }

  socket(versions) {
    const { cluster } = this;
    this.node = this.#next;
    this.#next = this.random.pick(cluster.nodes.map(node => node.number).filter(number => number !== this.node));
    return this.transport === 'tcp' ? new TCPSocket(cluster.port(this.node)) : new WebSocket(cluster.webSocketURL(this.node), versions);
  }
}

/** A browser's way to its Spring instance. */
export class SpringPlace {
  constructor({ instance, transport, user }) {
    this.instance = instance;
    this.transport = transport;
    this.user = user;
  }

  socket(versions) {
    const { instance, user } = this;
    return this.transport === 'sockjs'
      ? new SockJS(instance.sockJSURL(user), null, { timeout: 20_000, transports: ['websocket'] })
      : new WebSocket(instance.webSocketURL(user), versions);
  }
}
