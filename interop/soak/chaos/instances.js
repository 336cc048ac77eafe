// Blows to the Spring instances: one at a time is stopped, politely or not, and started again.

import { Pace } from './pace.js';

export class InstanceChaos {
  #pace = new Pace();

  constructor({ instances, random, journal, disturbances, between }) {
    Object.assign(this, { instances, random, journal, disturbances, between });
    this.deal = random.deal(instances.flatMap(instance => ['SIGTERM', 'SIGKILL'].map(signal => ({ instance, signal }))));
  }

  async run() {
    while (await this.#pace.wait(this.random.between(...this.between))) {
      const { instance, signal } = this.deal();
      const over = this.disturbances.begin(`spring ${instance.name}`);
      const began = Date.now();
      await instance.stop(signal);
      await instance.start();
      over();
      this.journal.note(`spring: ${signal}`, { instance: instance.name, took: Date.now() - began });
    }
  }

  stop() {
    this.#pace.stop();
  }
}
