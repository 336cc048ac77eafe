// Blows to the nodes, one after the other, so that two are never down: kill -9, a polite stop, a pause.

import { readFile } from 'node:fs/promises';
import { until } from '../../harness/lines.js';
import { Pace } from './pace.js';

const lastWordsMax = 4000; // characters of a node's log
const lookMillis = 2000; // between two looks for a node that ended by itself

export class NodeChaos {
  down; // the node that is being dealt with, and how
  crashes = [];
  #pace = new Pace();

  /** @param {{cluster: object, random: object, journal: object, disturbances: object, between: [number, number]}} options between two blows, ms */
  constructor({ cluster, random, journal, disturbances, between }) {
    Object.assign(this, { cluster, random, journal, disturbances, between });
    this.deal = random.deal(['kill leader', 'kill other', 'kill leader', 'stop leader', 'stop other', 'pause leader', 'pause other']);
  }

  /** Goes on until `stop`; all nodes are up then. */
  async run() {
    while (await this.#quiet(this.random.between(...this.between))) await this.#blow(this.deal());
  }

  stop() {
    this.#pace.stop();
  }

  /** Waits, and looks for nodes that ended by themselves. */
  async #quiet(millis) {
    const end = Date.now() + millis;
    let on = true;
    while (on && Date.now() < end) {
      await this.#revive();
      on = await this.#pace.wait(Math.min(lookMillis, Math.max(1, end - Date.now())));
    }
    return on;
  }

  async #blow(words) {
    const [how, whom] = words.split(' ');
    const { cluster, random } = this;
    const leader = await cluster.leader();
    const others = cluster.nodes.map(node => node.number).filter(number => number !== leader);
    const node = whom === 'leader' ? leader : random.pick(others);
    const away = how === 'pause' ? random.between(3000, 20_000) : random.between(2000, 15_000);
    const over = this.disturbances.begin(`node ${node}`);
    this.down = { node, how };
    const began = Date.now();
    try {
      const told = await this.#strike(how, node, away);
      await this.#settled(node);
      this.journal.note(`node: ${words}`, { node, away: Math.round(away), took: Date.now() - began, ...told });
    } finally {
      this.down = undefined;
      over();
    }
  }

  async #strike(how, node, away) {
    const { cluster } = this;
    if (how === 'pause') {
      await cluster.pause(node);
      await this.#pace.wait(away);
      await cluster.resume(node);
      return {};
    }
    let told = {};
    if (how === 'stop') told = { exitCode: (await cluster.stop(node)).exitCode };
    else await cluster.kill(node);
    await this.#pace.wait(away);
    await cluster.start(node);
    return told;
  }

  /** Waits until the node is ready, has its leader, and has folded what the others have. */
  #settled(node) {
    return until(`node ${node} to be ready again`, async () => {
      const status = await this.cluster.api(node, '/api/v1/status');
      return status.ready && status.leader !== '' && status.lag === 0;
    }, 90_000);
  }

  /** Notes nodes that ended without being told, and starts them again. */
  async #revive() {
    for (const { number, running, exitCode } of await this.cluster.status()) {
      if (running) continue;
      const words = (await readFile(this.cluster.node(number).log, 'utf8')).slice(-lastWordsMax);
      this.crashes.push({ node: number, exitCode, words });
      this.journal.note('node: ended by itself', { node: number, exitCode, words });
      const over = this.disturbances.begin(`node ${number}`);
      await this.cluster.start(number);
      await this.#settled(number);
      over();
    }
  }
}
