// The soak: opens the stage, lets clients and chaos loose on it for a time, calms everything down, and proves what must hold.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { until } from '../harness/lines.js';
import { Disturbances } from './books/disturbances.js';
import { ClientChaos } from './chaos/clients.js';
import { InstanceChaos } from './chaos/instances.js';
import { Journal } from './chaos/journal.js';
import { NodeChaos } from './chaos/nodes.js';
import { Pace } from './chaos/pace.js';
import { judge, judgeEnd } from './flat.js';
import { Browsers } from './kinds/browsers.js';
import { Queues } from './kinds/queues.js';
import { Topics } from './kinds/topics.js';
import { Unlogged } from './kinds/unlogged.js';
import { Users } from './kinds/users.js';
import { digests, leftIn, sessionQueues, sessionQueuesLeft, verifyLogs } from './proof.js';
import { randomOf } from './random.js';
import { openStage } from './stage.js';
import { Watch } from './watch.js';

const progressMillis = 30_000;
const settleMillis = 120_000; // in which all that is on its way has come, after everything is up again
const endMillis = 30_000; // in which nodes have let go of clients that ended

export class Soak {
  kinds = [];
  sessionQueuesMost = 0;
  report = { crashes: [], exitCodes: [], samples: [], restarts: {}, kinds: {} };
  #pace = new Pace();
  #chaos = [];
  #timers = [];

  constructor(settings) {
    this.settings = settings;
  }

  /** Cuts the soak short: it closes everything and proves nothing. */
  interrupt() {
    this.report.interrupted = true;
    this.#stop();
  }

  /** Something failed that nobody waits for. */
  fail(error) {
    this.report.broken ??= String(error?.stack ?? error);
    this.#stop();
  }

  #stop() {
    this.#pace.stop();
    for (const chaos of this.#chaos) chaos.stop();
  }

  /** Runs it all; everything is ended when this returns. Gives the report. */
  async run() {
    const { settings, report } = this;
    const began = Date.now();
    this.dir = await mkdtemp(path.join(tmpdir(), 'stampede-soak-'));
    await mkdir(settings.reports, { recursive: true });
    await rm(path.join(settings.reports, 'journal.jsonl'), { force: true });
    this.journal = new Journal(path.join(settings.reports, 'journal.jsonl'));
    try {
      await this.#open();
      await this.#live();
      if (!report.interrupted) await this.#calm();
    } catch (error) {
      this.fail(error);
    }
    await this.#close();
    Object.assign(report, { seed: settings.seed, duration: settings.duration, seconds: Math.round((Date.now() - began) / 1000) });
    return report;
  }

  async #open() {
    this.stage = await openStage({ dir: this.dir, spring: this.settings.spring });
    const { cluster, instances } = this.stage;
    this.watch = new Watch({ cluster });
    await this.watch.look('begin');
    await this.stage.openSpring();
    const random = name => randomOf(this.settings.seed, name);
    this.disturbances = new Disturbances();
    const options = { cluster, randomOf: random };
    this.kinds = [Topics, Queues, Users, Unlogged].map(Kind => new Kind(options));
    if (instances.length > 0) this.browsers = new Browsers({ ...options, instances, disturbances: this.disturbances });
    if (this.browsers) this.kinds.push(this.browsers);
    await Promise.all(this.kinds.map(kind => kind.open()));
    this.#chaosOf(random);
  }

  #chaosOf(random) {
    const { settings, stage, journal, disturbances, kinds, browsers } = this;
    const { cluster, instances } = stage;
    this.nodes = new NodeChaos({ cluster, random: random('chaos.nodes'), journal, disturbances, between: settings.betweenNodes });
    const nodeUp = number => this.nodes.down?.node !== number;
    this.clients = new ClientChaos({
      kinds, browsers, cluster, random: random('chaos.clients'), journal, nodeUp, between: settings.betweenClients,
    });
    this.#chaos = [this.nodes, this.clients];
    if (browsers) this.#chaos.push(new InstanceChaos({ instances, random: random('chaos.instances'), journal, disturbances, between: settings.betweenInstances }));
  }

  /** Traffic and blows until the time is up. */
  async #live() {
    console.log(`all up: ${this.kinds.map(({ name, sessions }) => `${name} ${sessions.length} sessions`).join(', ')}`);
    for (const kind of this.kinds) kind.begin();
    this.began = Date.now();
    this.watch.start();
    this.#timers.push(setInterval(() => this.#progress(), progressMillis));
    const blows = this.#chaos.map(chaos => chaos.run().catch(error => this.fail(error)));
    await this.#pace.wait(this.settings.seconds * 1000);
    this.watch.stop();
    for (const chaos of this.#chaos) chaos.stop();
    await Promise.all(blows);
    this.#progress();
  }

  /** No more blows: all that is on its way comes, and is counted. */
  async #calm() {
    const { report, stage, browsers } = this;
    const { cluster } = stage;
    for (const kind of this.kinds) kind.stopNew();
    const settled = () => this.kinds.every(kind => kind.settled());
    await until('all messages to come', settled, settleMillis).catch(() => {}); // what did not is in the results
    this.#progress();
    report.queuesLeft = await leftIn(cluster, this.kinds.flatMap(kind => kind.destinations ?? []));
    if (browsers) await this.#countSessionQueues();
    await this.#endKinds();
    if (browsers) report.sessionQueues = { most: this.sessionQueuesMost, ...(await sessionQueuesLeft(cluster)) };
    report.digests = await digests(cluster);
    await stage.endSpring();
    await this.#lookEmpty();
    for (const { number } of cluster.nodes) report.exitCodes.push((await cluster.stop(number)).exitCode);
    report.verified = await verifyLogs({ binary: this.settings.binary, dir: this.dir, nodes: cluster.nodes.map(({ number }) => number) });
  }

  /** Samples the nodes once they have let go of all clients, or did not in time. */
  async #lookEmpty() {
    let end;
    const empty = async () => {
      end = await this.watch.look('end');
      return end.length === this.stage.cluster.nodes.length && end.every(({ connections }) => connections === 0) && judgeEnd(this.watch.samples).slice(-end.length).every(({ goroutines, fds }) => goroutines.ok && fds.ok);
    };
    await until('the nodes to be without clients', empty, endMillis).catch(() => {});
    this.watch.samples = [...this.watch.samples.filter(({ label }) => label !== 'end'), ...end];
  }

  async #endKinds() {
    for (const kind of this.kinds) this.report.kinds[kind.name] = kind.result();
    await this.clients?.end();
    await Promise.all(this.kinds.map(kind => kind.end()));
  }

  /** Ends everything that runs, whatever has become of it. */
  async #close() {
    const { report, stage } = this;
    for (const timer of this.#timers) clearInterval(timer);
    this.watch?.stop();
    for (const chaos of this.#chaos) chaos.stop();
    if (Object.keys(report.kinds).length === 0) await this.#endKinds().catch(error => this.fail(error));
    if (stage) {
      const nodes = await stage.cluster.status().catch(() => []);
      const noted = this.nodes?.crashes ?? [];
      report.crashes = [...noted, ...nodes.filter(({ crashes }) => crashes > 0).map(({ number, crashes }) => ({ node: number, crashes }))];
      await stage.end();
    }
    report.restarts = this.journal.counts;
    report.exitCodes.push(...this.journal.entries.flatMap(({ exitCode, kind }) => (kind.startsWith('node: stop') ? [exitCode] : [])));
    report.journal = this.journal.entries;
    report.samples = this.watch?.samples ?? [];
    report.processes = judge(report.samples);
    report.end = judgeEnd(report.samples);
  }

  async #countSessionQueues() {
    this.sessionQueuesMost = Math.max(this.sessionQueuesMost, (await sessionQueues(this.stage.cluster)).length);
  }

  #progress() {
    const sums = { sent: 0, receipted: 0, received: 0, repeated: 0, inDoubt: 0 };
    let faults = 0;
    let open = 0;
    let sessions = 0;
    for (const kind of this.kinds) {
      const kindSums = kind.sums();
      for (const name of Object.keys(sums)) sums[name] += kindSums[name] ?? 0;
      sums.received += kind.received();
      faults += kind.faults.total;
      open += kind.sessions.filter(session => session.open).length;
      sessions += kind.sessions.length;
    }
    const down = this.nodes.down ? `${this.nodes.down.how} ${this.nodes.down.node}` : 'none';
    const away = this.stage.instances.filter(({ name }) => this.disturbances.now(`spring ${name}`)).map(({ name }) => name);
    console.log(
      `${String(Math.round((Date.now() - this.began) / 1000)).padStart(6)} s  down: ${[down, ...away].join(', ')}; sessions ${open}/${sessions}; ` +
        `sent ${sums.sent}, receipted ${sums.receipted}, received ${sums.received}, repeated ${sums.repeated}, in doubt ${sums.inDoubt}, faults ${faults}`,
    );
    if (this.browsers && !this.nodes.down) this.#countSessionQueues().catch(() => {}); // the node may just have gone
  }

  /** Writes the report; keeps the data of the nodes where it may be needed. */
  async write(failed) {
    const { settings, report } = this;
    const file = path.join(settings.reports, 'report.json');
    await writeFile(file, JSON.stringify(report, null, 1));
    if (settings.keep || (failed && !report.interrupted)) console.log(`data and logs of the nodes are kept in ${this.dir}`);
    else await rm(this.dir, { recursive: true, force: true });
    console.log(`report: ${file}`);
  }
}
