// Heart-beats: an idle session of a client that keeps its word stays, one of a client that does not is given up.
// The broker offers 10 s, so these tests take half a minute; they wait and use nothing.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTCP } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { startBroker } from '../harness/broker.js';
import { connect, ways, within } from '../harness/session.js';

let broker;
before(async () => {
  broker = await startBroker();
});
after(() => broker?.stop());

describe('heart-beats', { concurrency: true }, () => {
  // 1.0 has no heart-beats: stompjs sends none when it speaks that, whatever it asked for.
  for (const way of ways.filter(({ version }) => version !== '1.0')) {
    it(`keep an idle session over ${way.title}`, async () => {
      let beats = 0;
      let thirdBeat;
      const enough = new Promise(resolve => {
        thirdBeat = resolve;
      });
      const session = await connect(broker, way, {
        heartbeatIncoming: 1000,
        heartbeatOutgoing: 1000,
        onHeartbeatReceived: () => ++beats === 3 && thirdBeat(),
      });
      const [sends, expects] = session.connected.headers['heart-beat'].split(',').map(Number);
      assert.ok(sends > 0 && expects > 0, `heart-beat: ${session.connected.headers['heart-beat']}`);

      // Three beats of the broker are more than twice the interval after which a silent client is given up.
      await within(enough, 'third heart-beat', 4 * Math.max(sends, 1000));
      await session.send(`/topic/${way.name}.still-here`, 'yes');
      await session.close();
    });
  }

  it('end a TCP session that promised them and is silent', async () => {
    const socket = connectTCP(broker.stompPort, '127.0.0.1');
    await once(socket, 'connect');
    const pieces = [];
    socket.on('data', piece => pieces.push(piece));
    socket.write('CONNECT\naccept-version:1.2\nheart-beat:1000,0\n\n\0');
    await within(once(socket, 'close'), 'end of the silent session', 30_000);
    const said = Buffer.concat(pieces).toString();
    assert.match(said, /^CONNECTED\n/);
    assert.match(said, /error-code:heart-beat-timeout/);
  });
});
