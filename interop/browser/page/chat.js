// The chat: rooms and private messages over a connection. Nothing is missed and nothing shown twice, whatever the connection does.

import { Log } from './store.js';
import { Outbox } from './outbox.js';
import { fromHeader, newId, roomDestination, toHeader, userDestination } from './words.js';

const historyCount = 50; // messages that somebody sees who is new in a room
const retryMillis = 1_000; // after an answer that says: try again
const quoteLettersMax = 140;
const tryAgain = new Set(['no-quorum', 'outcome-unknown', 'disk-full']);
const eventsDestination = '/topic/server.events';

/** Events: `message` (a new one), `outbox`, `notice` (of the broker, to this page), `trouble` (an ERROR), `gap`. */
export class Chat extends EventTarget {
  tallies = { repeated: 0, twins: 0 };
  #retry;

  constructor({ me, rooms, connection }) {
    super();
    this.me = me;
    this.connection = connection;
    this.outbox = new Outbox(me);
    this.sources = rooms.map(room => ({ room, destination: roomDestination(room), log: new Log(me, `room/${room}`) }));
    this.sources.push({ destination: '/user/queue/private', log: new Log(me, 'private') });
    this.ready = false; // all subscriptions of this connection hold
    connection.addEventListener('open', () => this.#begin());
    connection.addEventListener('change', () => {
      if (connection.state !== 'connected') this.ready = false;
    });
    connection.addEventListener('refusal', ({ detail }) => this.#refused(detail));
  }

  /** All messages that are kept, of rooms and private ones. */
  messages() {
    return this.sources.flatMap(({ log }) => log.messages);
  }

  /** `place` is {room} or {user}. */
  say(place, text, quote) {
    this.outbox.add({ chatId: newId(), ...place, text, quote: quote?.slice(0, quoteLettersMax) });
    this.#tell('outbox');
    this.#flush([this.outbox.items.at(-1)]);
  }

  #begin() {
    const { client } = this.connection;
    let missing = this.sources.length;
    for (const source of this.sources) {
      const receipt = `subscribed-${newId()}`;
      client.watchForReceipt(receipt, () => {
        source.log.noteJoined();
        this.ready = --missing === 0;
        this.#tell('outbox');
      });
      client.subscribe(source.destination, message => this.#take(source, message), { ...position(source), receipt });
    }
    client.subscribe(eventsDestination, message => this.#notice(JSON.parse(message.body)));
    this.#flush(this.outbox.unsettled());
  }

  /** All nodes tell their subscribers that one of them drains; a session's name begins with its node's. */
  #notice({ type, message, node }) {
    if (type === 'drain' && this.connection.session.startsWith(`${node}-`)) this.#tell('notice', message);
  }

  #take(source, { headers, body }) {
    const message = {
      id: headers['message-id'],
      offset: Number(headers['x-stream-offset']),
      time: Number(headers.timestamp),
      chatId: headers['chat-id'] ?? headers['message-id'], // another program may talk here too
      from: fromHeader(headers.from ?? 'somebody'),
      text: body,
    };
    if (source.room) message.room = source.room;
    else message.user = message.from === this.me ? fromHeader(headers.to ?? this.me) : message.from; // whom the conversation is with
    if (headers.quote) message.quote = fromHeader(headers.quote);
    if (headers['resume-gap']) this.#tell('gap', message);
    const became = source.log.add(message);
    this.outbox.remove(message.chatId);
    if (became === 'repeated') this.tallies.repeated++; // the broker's fault; never seen yet
    else if (became === 'twin') this.tallies.twins++; // ours: sent again when nobody knew what had become of it
    else this.#tell('message', message);
    this.#tell('outbox');
  }

  #flush(items) {
    if (!this.connection.open) return; // the next connection brings them
    for (const item of items) this.#transmit(item);
  }

  #transmit({ chatId, room, user, text, quote }) {
    const { client } = this.connection;
    const headers = { 'content-type': 'text/plain;charset=utf-8', 'chat-id': chatId, from: toHeader(this.me) };
    if (quote) headers.quote = toHeader(quote);
    if (room) {
      client.watchForReceipt(chatId, () => {
        this.outbox.noteStored(chatId);
        this.#tell('outbox');
      });
      client.publish({ destination: roomDestination(room), body: text, headers: { ...headers, receipt: chatId } });
      return;
    }
    // The addressee's tabs and our own get it, or nobody does; that it comes round is the receipt.
    headers.to = toHeader(user);
    const transaction = client.begin(newId());
    for (const reader of new Set([user, this.me])) {
      // Of the receipt only a refusal matters: inside a transaction it says no more than that the frame was taken.
      client.publish({ destination: userDestination(reader), body: text, headers: { ...headers, transaction: transaction.id, receipt: chatId } });
    }
    transaction.commit();
  }

  #refused({ headers, body }) {
    if (tryAgain.has(headers['error-code'])) {
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => this.#flush(this.outbox.unsettled()), retryMillis);
      return;
    }
    this.outbox.noteRefused(headers['receipt-id'], headers.message);
    this.#tell('outbox');
    this.#tell('trouble', { code: headers['error-code'], message: headers.message, body });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** Where a subscription begins. */
function position({ room, log }) {
  if (log.position) return { 'resume-after': log.position };
  if (!room) return {}; // what waited for the user comes by itself
  // Nobody had said anything when we came in: all there is now came after.
  if (log.joined) return { 'x-stream-offset': 'first' };
  return { last: String(historyCount) };
}
