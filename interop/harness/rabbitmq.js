// Runs RabbitMQ (Debian's rabbitmq-server) with its STOMP plugin on loopback, with data of its own.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { until } from './lines.js';

const server = '/usr/lib/rabbitmq/bin/rabbitmq-server';

/** Starts it and waits until STOMP clients can come; null where it is not installed. */
export async function startRabbitMQ({ port = 22613 } = {}) {
  try {
    await access(server);
  } catch {
    return null;
  }
  const dir = await mkdtemp(path.join(tmpdir(), 'stampede-rabbitmq-'));
  const file = name => path.join(dir, name);
  await writeFile(file('enabled_plugins'), '[rabbitmq_stomp].\n');
  await writeFile(file('rabbitmq.conf'), `listeners.tcp.1 = 127.0.0.1:${port + 1}\nstomp.listeners.tcp.1 = 127.0.0.1:${port}\n`);
  const epmd = spawn('epmd', ['-address', '127.0.0.1', '-port', String(port + 2)], { stdio: 'ignore' });
  const child = spawn(server, [], {
    stdio: 'ignore',
    env: {
      ...process.env,
      HOME: dir,
      ERL_EPMD_ADDRESS: '127.0.0.1',
      ERL_EPMD_PORT: String(port + 2),
      RABBITMQ_NODENAME: 'peer@localhost',
      RABBITMQ_CONFIG_FILE: file('rabbitmq.conf'),
      RABBITMQ_ENABLED_PLUGINS_FILE: file('enabled_plugins'),
      RABBITMQ_CONF_ENV_FILE: file('none'),
      RABBITMQ_MNESIA_BASE: file('data'),
      RABBITMQ_LOG_BASE: file('log'),
      RABBITMQ_PID_FILE: file('pid'),
      RABBITMQ_DIST_PORT: String(port + 3),
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
    },
  });
  const exited = once(child, 'exit');
  await until('RabbitMQ to listen', () => listens(port), 120_000);
  return {
    port,
    pid: child.pid,
    async end() {
      child.kill('SIGTERM');
      await exited;
      epmd.kill('SIGTERM');
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function listens(port) {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => resolve(true));
    socket.on('error', () => resolve(false));
    socket.on('close', () => socket.destroy());
    socket.on('connect', () => socket.end());
  });
}
