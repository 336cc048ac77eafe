// Whether a broker process grows: medians of its early and its late samples under the same load, beside what its growth may be.

// What a message may cost, as the architecture says: its place among the recent ones in memory (headers, body and 256 bytes, until the ring
// is full) and in the index of the open segment (8 to 24 bytes, until the segment is sealed).
const bytesPerEvent = 256 + 300 + 24;
const ringBytes = 64 << 20;
const slackBytes = 6 << 20; // what a collector leaves lying about between two collections of a small heap

const settledSeconds = 60; // a young process has what it read at its start
const livedSeconds = 300;
const goroutinesPerConnection = 4;
const goroutinesSlack = 15;
const descriptorsSlack = 12;
const segmentSeconds = 600; // a sealed segment has two descriptors

/** Judges the samples of each process that lived long enough. */
export function judge(samples) {
  const lives = new Map();
  for (const sample of samples) {
    if (sample.label || sample.age < settledSeconds) continue; // labelled ones are not under load
    const key = `${sample.node}/${sample.started}`;
    lives.set(key, [...(lives.get(key) ?? []), sample]);
  }
  return [...lives.values()].filter(life => life.at(-1).age >= livedSeconds && life.length >= 6).map(judgeLife);
}

function judgeLife(life) {
  const third = Math.floor(life.length / 3);
  const early = medians(life.slice(0, third));
  const late = medians(life.slice(-third));
  const connections = Math.max(0, late.connections - early.connections);
  const events = late.applied - early.applied;
  const heapMay = Math.min(events * bytesPerEvent, ringBytes) + slackBytes;
  const goroutinesMay = connections * goroutinesPerConnection + goroutinesSlack;
  const descriptorsMay = connections + descriptorsSlack + 2 * Math.ceil((late.age - early.age) / segmentSeconds);
  const rows = {
    live: row(early.live, late.live, heapMay),
    goroutines: row(early.goroutines, late.goroutines, goroutinesMay),
    fds: row(early.fds, late.fds, descriptorsMay),
  };
  return {
    node: life[0].node,
    seconds: life.at(-1).age,
    events,
    liveBytesPerEvent: events > 0 ? Math.round((late.live - early.live) / events) : 0,
    flat: Object.values(rows).every(({ ok }) => ok),
    ...rows,
    // Told, not judged: between two collections the heap holds garbage, and the system takes pages back when it likes.
    heap: { early: early.heap, late: late.heap },
    rss: { early: early.rss, late: late.rss },
    connections: { early: early.connections, late: late.connections },
  };
}

const row = (early, late, may) => ({ early, late, grew: late - early, may, ok: late - early <= may });

function medians(samples) {
  const median = field => {
    const sorted = samples.map(field).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)];
  };
  const result = {};
  for (const field of ['rss', 'heap', 'goroutines', 'fds', 'connections', 'applied', 'age']) result[field] = median(sample => sample[field]);
  result.live = Math.round(median(sample => sample.nextGC) / 2); // Go collects when the heap is twice what was live
  return result;
}

/** Compares nodes without clients at the end with the same at the beginning. */
export function judgeEnd(samples) {
  const begin = samples.filter(({ label }) => label === 'begin');
  const most = field => Math.max(...begin.map(sample => sample[field]));
  return samples
    .filter(({ label }) => label === 'end')
    .map(sample => ({
      node: sample.node,
      connections: sample.connections,
      goroutines: row(most('goroutines'), sample.goroutines, goroutinesSlack),
      fds: row(most('fds'), sample.fds, descriptorsSlack + 2 * Math.ceil((sample.at - begin[0].at) / 1000 / segmentSeconds)),
    }));
}
