// Four small services that our dashboard depends on. In a real system these
// would be other machines; here they are servers in the same process.
import { createServer } from 'node:http';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

const services = {
  profile: { delay: 20, status: 200, body: { name: 'Ada' } },
  progress: { delay: 20, status: 200, body: { finished: 7, started: 9 } },
  badges: { delay: 5_000, status: 200, body: [] }, // far too slow today
  news: { delay: 20, status: 500, body: { error: 'out of order' } },
};

export async function startUpstreams() {
  const server = createServer(async (request, response) => {
    const service = services[request.url.slice(1)];
    if (!service) return response.writeHead(404).end();

    // Stop working as soon as the caller has gone away.
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    try {
      await sleep(service.delay, undefined, { signal: gone.signal });
      response.writeHead(service.status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(service.body));
    } catch (error) {
      if (error.name !== 'AbortError') throw error;
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

export const serviceNames = Object.keys(services);
export const addressOf = (server) => `http://127.0.0.1:${server.address().port}`;
