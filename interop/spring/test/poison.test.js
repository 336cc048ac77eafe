// A content-type that Spring's decoder cannot read ends the connection that it came over: the broker must not hand it on as one.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from '../../harness/lines.js';
import { sendRaw } from '../clients/raw.js';
import { openStage } from '../clients/stage.js';

// What org.springframework.util.MimeTypeUtils refuses.
const kinds = {
  'that is no MIME type': ['no type at all', 'text/', '/', ';;;', 'a/b/c', '*/xml'],
  'whose charset Java does not have': ['text/plain;charset=no-such', 'application/json; charset="-x"', "text/plain;charset=''"],
  'with braces in it': ['text/{x}', 'text/plain;a={b}'],
};

let stage;
before(async () => (stage = await openStage()));
after(() => stage?.close());

/** Runs a story in front of a listener at each instance; then nobody was disconnected, and messages still come. */
async function hurtsNobody(story) {
  const instances = [stage.one, stage.two];
  const before = await Promise.all(instances.map(instance => instance.get('/broker')));
  const listeners = [
    await stage.browser(stage.one, 'kim', {}, '/topic/poison', '/user/queue/poison'),
    await stage.browser(stage.two, 'leo', { transport: 'sockjs' }, '/topic/poison', '/user/queue/poison'),
  ];
  try {
    await story(listeners);
    for (const instance of instances) await instance.send('/topic/poison', { after: instance.name });
    for (const listener of listeners) {
      const after = name => listener.received.some(message => message.body === JSON.stringify({ after: name }));
      await until(`messages for ${listener.user} of both instances`, () => after('one') && after('two'));
      assert.equal(listener.closes, 0, listener.user);
    }
    assert.deepEqual(await Promise.all(instances.map(instance => instance.get('/broker'))), before, 'the relays');
  } finally {
    await Promise.all(listeners.map(listener => listener.drop()));
    await until('both relays', async () => (await Promise.all(instances.map(i => i.get('/broker')))).every(b => b.available));
  }
}

/** Each listener has got a message whose body is its content-type, which was put aside; twice, if both instances knew the user's session. */
async function putAside(listeners, type) {
  for (const listener of listeners) {
    const what = `content-type ${type}, at ${listener.user}`;
    const found = () => listener.received.find(message => message.body === type);
    await until(`the message with ${what}, or the end of its connection`, () => found() || listener.closes > 0);
    assert.equal(listener.closes, 0, `connections that ended under ${what}`);
    const message = found();
    assert.equal(message.headers['content-type'], undefined, what);
    assert.equal(message.headers['x-content-type'], type, what);
  }
}

for (const [kind, types] of Object.entries(kinds)) {
  describe(`a content-type ${kind}`, () => {
    test('sent by another service comes to subscribers as x-content-type', () =>
      hurtsNobody(async listeners => {
        for (const type of types) {
          await sendRaw(stage.cluster.port(3), '/topic/poison', type, { 'content-type': type });
          await putAside(listeners, type);
        }
      }));

    test('sent by a browser that is at a node itself comes to subscribers as x-content-type', () =>
      hurtsNobody(async listeners => {
        const node = { webSocketURL: () => stage.cluster.webSocketURL(3) };
        const straight = await stage.browser(node, 'mia', { connectHeaders: { login: 'mia' } });
        for (const type of types) {
          await straight.send('/topic/poison', type, { 'content-type': type });
          await putAside(listeners, type);
        }
        assert.equal(straight.closes, 0);
        await straight.close();
      }));

    test('sent by a browser through Spring, whose decoder refuses it, closes that browser and nobody else', () =>
      hurtsNobody(async () => {
        for (const type of types) {
          const sender = await stage.browser(stage.one, 'nat', {});
          sender.client.publish({ destination: '/topic/poison', body: 'never', headers: { 'content-type': type } });
          await until(`the browser that sent ${type} to be closed`, () => sender.closes === 1);
        }
      }));

    test('sent to the topics of the instances themselves does not end their sessions, and the user gets it', () =>
      hurtsNobody(async listeners => {
        for (const type of types) {
          const headers = { 'content-type': type };
          await sendRaw(stage.cluster.port(3), '/topic/simp-user-registry', type, headers);
          for (const { user } of listeners) {
            const simpOrigDestination = `/user/${user}/queue/poison`;
            await sendRaw(stage.cluster.port(3), '/topic/unresolved-user-destination', type, { ...headers, simpOrigDestination });
          }
          await putAside(listeners, type);
        }
      }));
  });
}
