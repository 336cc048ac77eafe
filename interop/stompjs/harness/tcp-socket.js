// STOMP over plain TCP for stompjs, which knows only WebSockets: a socket with the few parts of one that it uses.

import { connect } from 'node:net';

const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;

export class TCPSocket {
  binaryType = 'arraybuffer';
  readyState = 0;
  onopen = null;
  onmessage = null;
  onclose = null;
  onerror = null;

  constructor(port) {
    this.url = `tcp://127.0.0.1:${port}`;
    this.socket = connect(port, '127.0.0.1');
    this.socket.setNoDelay(true);
    this.socket.on('connect', () => {
      this.readyState = OPEN;
      this.onopen?.();
    });
    this.socket.on('data', chunk => {
      // A copy: Node's chunk is a window on a pool.
      this.onmessage?.({ data: chunk.buffer.slice(chunk.byteOffset, chunk.byteOffset + chunk.byteLength) });
    });
    this.socket.on('error', error => this.onerror?.(error));
    this.socket.on('close', () => {
      this.readyState = CLOSED;
      this.onclose?.({ code: 1000, reason: '', wasClean: true });
    });
  }

  send(data) {
    this.socket.write(data instanceof ArrayBuffer ? new Uint8Array(data) : data);
  }

  close() {
    if (this.readyState < CLOSING) this.readyState = CLOSING;
    this.socket.end();
  }

  terminate() {
    this.socket.destroy();
  }
}
