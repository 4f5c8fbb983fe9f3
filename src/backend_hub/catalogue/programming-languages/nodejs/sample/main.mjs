import { once } from 'node:events';
import { createDashboard } from './dashboard.mjs';
import { addressOf, serviceNames, startUpstreams } from './upstreams.mjs';

const upstreams = await startUpstreams();
const server = createDashboard({ upstream: addressOf(upstreams), names: serviceNames });
server.listen(0, '127.0.0.1');
await once(server, 'listening');

let stopping; // set once, so that two signals do not stop us twice
function shutDown() {
  stopping ??= Promise.all([server, upstreams].map(async (each) => {
    each.close(); // take no new connections, let running requests finish
    const deadline = setTimeout(() => each.closeAllConnections(), 1_000);
    await once(each, 'close');
    clearTimeout(deadline);
  }));
  return stopping;
}
process.once('SIGTERM', shutDown); // how a container platform asks us to stop

try {
  const started = performance.now();
  const response = await fetch(`${addressOf(server)}/dashboard`);
  console.log(response.status, JSON.stringify(await response.json(), null, 2));
  console.log('faster than the slow service:', performance.now() - started < 5_000);

  const refused = await fetch(`${addressOf(server)}/dashboard`, { method: 'DELETE' });
  console.log(refused.status, await refused.text(), `(allow: ${refused.headers.get('allow')})`);
} finally {
  await shutDown();
  console.log('stopped cleanly');
}
