// Runs instances of the Spring Boot service of interop/spring.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { until } from './lines.js';

const jar = process.env.SPRING_JAR ?? fileURLToPath(new URL('../spring/target/relay.jar', import.meta.url));
const java = process.env.JAVA_HOME ? `${process.env.JAVA_HOME}/bin/java` : 'java';

/**
 * Starts an instance and waits until it has its broker.
 *
 * @param {{name?: string, broker: string[], port?: number, args?: string[]}} options broker are its settings, such as `--broker.port=61613`
 */
export async function startSpring({ name = 'one', broker, port, args = [] }) {
  port ??= await freePort();
  const url = `http://127.0.0.1:${port}`;
  const output = [];
  let child;
  let exited;

  const instance = {
    name,
    url,
    webSocketURL: user => `ws://127.0.0.1:${port}/ws?user=${encodeURIComponent(user)}`,
    sockJSURL: user => `${url}/sockjs?user=${encodeURIComponent(user)}`,
    output: () => Buffer.concat(output).toString(),
    pid: () => child.pid,

    async get(what) {
      const response = await fetch(url + what);
      if (!response.ok) throw new Error(`GET ${what} of ${name}: ${response.status} ${await response.text()}`);
      return response.json();
    },
    /** Gives the status and the answer, which may be empty. */
    async post(what, body) {
      const response = await fetch(url + what, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      const text = await response.text();
      return { status: response.status, body: text && response.ok ? JSON.parse(text) : text };
    },
    async send(destination, payload, headers = {}) {
      const { status, body } = await instance.post('/send', { destination, payload, headers });
      if (status !== 200) throw new Error(`send to ${destination} through ${name}: ${status} ${body}`);
    },

    async start() {
      child = spawn(
        java,
        [
          '-Xmx512m', '-XX:+UseSerialGC', '-jar', jar,
          `--server.port=${port}`, `--instance.name=${name}`, '--end-with-input=true', // whoever dies leaves no instance behind
          ...broker, ...args,
        ],
        { stdio: ['pipe', 'pipe', 'pipe'] },
      );
      child.stdin.on('error', () => {}); // nothing is written there
      child.stdout.on('data', chunk => output.push(chunk));
      child.stderr.on('data', chunk => output.push(chunk));
      let ended;
      exited = new Promise(resolve => {
        child.on('error', error => resolve((ended = String(error)))); // no Java, for one
        child.on('exit', (code, signal) => resolve((ended ??= `exit code ${code}, signal ${signal}`)));
      });
      const ready = async () => ended ?? (await instance.get('/broker')).available;
      try {
        if ((await until(`${name} to have its broker`, ready, 120_000)) !== true) throw new Error(`${name} has ended: ${ended}`);
      } catch (error) {
        await instance.stop('SIGKILL');
        throw new Error(`${error.message}\n${instance.output().slice(-2000)}`);
      }
    },
    /** SIGTERM, or another signal; waits for the end. */
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      await exited;
    },
  };
  await instance.start();
  return instance;
}

async function freePort() {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
