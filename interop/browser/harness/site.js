// Serves the chat page on loopback: its own files, stompjs from node_modules, and config.json that says where the brokers are.

import { createServer } from 'node:http';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const file = path => fileURLToPath(new URL(path, import.meta.url));
const types = { html: 'text/html', css: 'text/css', js: 'text/javascript', svg: 'image/svg+xml' };

/** All that is served; whatever is not in this table is not there. */
const files = {
  '/': file('../page/index.html'),
  '/style.css': file('../page/style.css'),
  '/icon.svg': file('../page/icon.svg'),
  '/stomp.js': file('../node_modules/@stomp/stompjs/bundles/stomp.umd.min.js'),
  ...Object.fromEntries(['app', 'chat', 'connection', 'outbox', 'store', 'view', 'words'].map(name => [`/${name}.js`, file(`../page/${name}.js`)])),
};

// The page takes scripts and styles from here only, and speaks to nobody but brokers on loopback.
const policy = "default-src 'self'; connect-src 'self' ws://127.0.0.1:* http://127.0.0.1:*; worker-src blob:; base-uri 'none'; form-action 'none'";

/** Listens on a free port of 127.0.0.1 (or on `port`). `show` sets the brokers and the rooms of the page. */
export async function startSite({ port = 0 } = {}) {
  let config = { nodes: [], rooms: [] };
  const server = createServer(async (request, response) => {
    const path = new URL(request.url, 'http://loopback').pathname;
    const head = { 'content-security-policy': policy, 'cache-control': 'no-store' };
    if (path === '/config.json') return response.writeHead(200, { ...head, 'content-type': 'application/json' }).end(JSON.stringify(config));
    if (!(path in files)) return response.writeHead(404, head).end();
    const content = await readFile(files[path]);
    const type = types[files[path].split('.').pop()];
    response.writeHead(200, { ...head, 'content-type': `${type}; charset=utf-8` }).end(content);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${server.address().port}`;
  return {
    origin,
    port: server.address().port,
    show(cluster, rooms) {
      const nodes = cluster.nodes.map(({ number, http }) => ({ name: `node ${number}`, ws: `ws://${http}/ws`, health: `http://${http}/health/live` }));
      config = { nodes, rooms };
    },
    async end() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
