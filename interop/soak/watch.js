// Samples of each broker process: memory, goroutines, descriptors, connections and what it has folded.

const intervalMillis = 15_000;
const askMillis = 5000;

const metrics = {
  rss: 'process_resident_memory_bytes',
  heap: 'go_memstats_heap_inuse_bytes',
  nextGC: 'go_memstats_next_gc_bytes',
  goroutines: 'go_goroutines',
  fds: 'process_open_fds',
  started: 'process_start_time_seconds',
  connections: 'websocket_connections_active',
  applied: 'stampede_applied_offset',
};

export class Watch {
  samples = [];
  #timer;

  constructor({ cluster }) {
    this.cluster = cluster;
  }

  start() {
    this.#timer = setInterval(() => this.look(), intervalMillis);
  }

  stop() {
    clearInterval(this.#timer);
  }

  /** Samples all nodes that answer; one that does not is down or paused. */
  async look(label) {
    const looked = await Promise.allSettled(this.cluster.nodes.map(node => this.#sample(node, label)));
    const samples = looked.flatMap(({ value }) => value ?? []);
    this.samples.push(...samples);
    return samples;
  }

  async #sample({ number, admin }, label) {
    const response = await fetch(`http://${admin}/metrics`, { signal: AbortSignal.timeout(askMillis) });
    const values = new Map((await response.text()).split('\n').map(line => line.split(' ')));
    const sample = { node: number, at: Date.now(), ...(label && { label }) };
    for (const [field, name] of Object.entries(metrics)) {
      sample[field] = Number(values.get(name));
      if (Number.isNaN(sample[field])) throw new Error(`node ${number} has no metric ${name}`);
    }
    sample.age = Math.round(sample.at / 1000 - sample.started);
    return sample;
  }
}
