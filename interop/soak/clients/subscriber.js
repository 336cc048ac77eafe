// A subscription that is made anew on each connection, from where the last one stopped.

import { until } from '../../harness/lines.js';

export class Subscriber {
  position; // message-id of the last message
  ready = false; // has been subscribed once

  /** @param {{session: object, destination: string, headers: () => object, take: (message: object, generation: number) => void}} options */
  constructor({ session, destination, headers, take }) {
    this.session = session;
    session.onOpen = async () => {
      const outcome = await session.subscribe(destination, headers(this), (message, generation) => {
        this.position = message.headers['message-id'];
        take(message, generation);
      });
      if (outcome === 'receipt') this.ready = true;
      else if (outcome !== 'lost') session.drop(); // an ERROR: without the subscription the connection is worth nothing
    };
  }

  async start() {
    this.session.start();
    await until(`${this.session.name} to subscribe`, () => this.ready);
  }
}

/** Goes on behind the last message; begins with all that there is. */
export const resuming = subscriber => (subscriber.position ? { 'resume-after': subscriber.position } : { 'x-stream-offset': 'first' });

/** Numbers that a Publisher put on a message. */
export const numbered = message => ({ number: Number(message.headers.number), copy: Number(message.headers.copy), stream: message.headers.stream });

/** The offset, which rises from message to message. */
export const offsetOf = message => Number(message.headers['x-stream-offset']);
