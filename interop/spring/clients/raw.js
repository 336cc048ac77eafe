// A SEND byte by byte over TCP: what another service, or one with bad manners, puts on the wire.

import { connect } from 'node:net';
import { until } from '../../harness/lines.js';

/** Sends one message and waits for its receipt; `headers` go out as they are. */
export async function sendRaw(port, destination, body, headers = { 'content-type': 'application/json' }, login = 'guest', passcode = 'guest') {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.on('data', chunk => (answer += chunk));
  socket.on('error', error => (answer += `\0ERROR\n${error}`));
  const refused = () => /(^|\0)\n*ERROR\n/.test(answer);
  const lines = Object.entries({
    destination,
    ...headers,
    receipt: 'sent',
    'content-length': Buffer.byteLength(body),
  }).map(([name, value]) => `${name}:${value}\n`);
  socket.write(`CONNECT\naccept-version:1.2\nlogin:${login}\npasscode:${passcode}\n\n\0`);
  socket.write(`SEND\n${lines.join('')}\n`);
  socket.write(body);
  socket.write('\0');
  await until(`the receipt for ${destination}`, () => answer.includes('receipt-id:sent') || refused());
  socket.destroy();
  if (refused()) throw new Error(`SEND to ${destination}: ${answer}`);
}
