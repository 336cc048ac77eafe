// What a soak says at its end: as JSON, and as lines for people; and whether it failed.

const MiB = 1 << 20;

/** Everything that makes a soak fail, in words. */
export function failures(report) {
  const failed = [];
  const fail = (condition, text) => condition && failed.push(text);
  fail(report.broken, `the soak could not go on: ${report.broken}`);
  fail(report.interrupted, 'interrupted');
  for (const [name, kind] of Object.entries(report.kinds)) {
    fail(kind.lost > 0, `${name}: ${kind.lost} lost, first ${kind.lostFirst[0]}`);
    for (const [fault, count] of Object.entries(kind.faults)) fail(count > 0, `${name}: ${count} times ${fault}, first ${kind.faultsFirst.find(text => text.startsWith(`${fault}:`))}`);
    fail(kind.received === 0, `${name}: nothing was received: the soak has proved nothing`);
    fail(kind.unreceipted > 0, `${name}: ${kind.unreceipted} messages have no receipt in the end`);
  }
  fail(report.crashes.length > 0, `${report.crashes.length} times a broker ended by itself: ${JSON.stringify(report.crashes[0])}`);
  fail(report.exitCodes.some(code => code !== 0), `polite stops ended with ${report.exitCodes}`);
  fail(report.queuesLeft?.length > 0, `queues hold messages in the end: ${JSON.stringify(report.queuesLeft)}`);
  fail(report.sessionQueues?.left.length > 0, `queues of sessions that ended are left: ${report.sessionQueues?.left.join(', ')}`);
  fail(report.sessionQueues?.most === 0, 'no queue of a Spring session was ever seen: the soak has proved nothing of them');
  fail(report.digests?.length !== 1 && !report.broken && !report.interrupted, `digests differ: ${report.digests}`);
  for (const { node, ok, faults } of report.verified ?? []) fail(!ok, `log verify of node ${node}: ${faults?.join('; ')}`);
  fail(report.samples.length === 0, 'no sample of the brokers could be taken');
  return failed;
}

/** The report for people. */
export function print(report, write = line => console.log(line)) {
  const columns = ['sent', 'receipted', 'received', 'lost', 'repeated', 'redelivered', 'inDoubt', 'refused', 'faults', 'losses'];
  write('');
  write(row(['kind', ...columns]));
  for (const [name, kind] of Object.entries(report.kinds)) {
    const faults = Object.values(kind.faults).reduce((sum, n) => sum + n, 0);
    write(row([name, ...columns.map(column => (column === 'faults' ? faults : (kind[column] ?? '-')))]));
  }
  for (const [name, { due, failed, notReceived, errors }] of Object.entries(report.kinds)) {
    if (due !== undefined) write(`${name}: ${due} deliveries were due undisturbed; the service could not send ${failed}`);
    if (notReceived !== undefined) write(`${name}: ${notReceived} of all deliveries did not come, as allowed`);
    if (Object.keys(errors).length > 0) write(`${name}: ERRORs ${JSON.stringify(errors)}`);
  }
  write(`restarts: ${Object.entries(report.restarts).map(([kind, count]) => `${kind} ${count}`).join(', ') || 'none'}`);
  write(`broker crashes ${report.crashes.length}`);
  if (report.sessionQueues) write(`queues of Spring sessions: ${report.sessionQueues.most} at most, ${report.sessionQueues.left.length} left, gone after ${report.sessionQueues.seconds} s`);
  if (report.digests) write(`digests: ${report.digests.length === 1 ? 'equal on all nodes' : report.digests.join(' | ')}`);
  for (const { node, ok, entries, events, messages, unproved } of report.verified ?? []) {
    write(`log verify of node ${node}: ${ok ? 'ok' : 'FAILED'}, ${entries} entries, ${events} events, ${messages} messages${unproved?.length ? `, not proved: ${unproved.join('; ')}` : ''}`);
  }
  printProcesses(report, write);
  write('');
  for (const text of report.failures) write(`FAILED: ${text}`);
  write(`${report.failures.length === 0 ? 'ok' : 'FAILED'}: seed ${report.seed}, ${report.seconds} s; to repeat: SOAK=${report.duration} SEED=${report.seed} make soak`);
}

function printProcesses({ processes, end }, write) {
  if (processes.length === 0) write('no broker process lived for 5 minutes: nothing is said of growth');
  for (const p of processes) {
    const of = ({ early, late }, unit = 1) => `${(early / unit).toFixed(unit > 1 ? 1 : 0)} -> ${(late / unit).toFixed(unit > 1 ? 1 : 0)}`;
    write(
      `node ${p.node}, ${p.seconds} s: ${p.flat ? 'flat' : 'GROWS'}; live heap ${of(p.live, MiB)} MiB (${p.liveBytesPerEvent} bytes an event), ` +
        `heap in use ${of(p.heap, MiB)} MiB, RSS ${of(p.rss, MiB)} MiB, goroutines ${of(p.goroutines)}, files ${of(p.fds)}, connections ${of(p.connections)}`,
    );
  }
  for (const { node, connections, goroutines, fds } of end) {
    write(`node ${node} without clients: ${connections} connections, goroutines ${goroutines.late} (${goroutines.early} at first), files ${fds.late} (${fds.early})${goroutines.ok && fds.ok && connections === 0 ? '' : ' LEFT OVER'}`);
  }
}

const row = ([first, ...cells]) => first.padEnd(10) + cells.map(cell => String(cell).padStart(12)).join('');
