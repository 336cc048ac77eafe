// What is put into a queue, and what is left in it.

import { connect } from './session.js';

/** Sends the bodies one after the other, each with its receipt. */
export async function fillQueue(broker, way, destination, ...bodies) {
  const session = await connect(broker, way);
  for (const body of bodies) await session.send(destination, body);
  await session.close();
}

/** What a new subscription gets until the marker, which is sent last. */
export async function drainQueue(broker, way, destination) {
  await fillQueue(broker, way, destination, 'marker');
  const session = await connect(broker, way);
  const inbox = await session.subscribe(destination, { ack: 'auto' });
  const messages = [];
  for (let message = await inbox.next(); message.body !== 'marker'; message = await inbox.next()) messages.push(message);
  await session.close();
  return messages;
}
