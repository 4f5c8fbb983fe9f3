import { once } from 'node:events';
import { createApp, memoryStore } from './app.mjs';

const store = memoryStore();
const app = createApp({ store, log: (error) => console.log('   log:', error.message) });
const server = app.listen(0, '127.0.0.1');
await once(server, 'listening');

async function call(method, path, body) {
  const text = typeof body === 'object' ? JSON.stringify(body) : body;
  const response = await fetch(`http://127.0.0.1:${server.address().port}${path}`, {
    method,
    body: text,
    headers: text ? { 'content-type': 'application/json' } : {},
    signal: AbortSignal.timeout(5_000),
  });
  console.log(method, path, '->', response.status, (await response.text()) || '(no body)');
}

try {
  await call('POST', '/tasks', { title: 'Write tests', priority: 2, id: 700 });
  await call('POST', '/tasks', { title: 'Fix login', priority: 1 });
  await call('GET', '/tasks');
  await call('DELETE', '/tasks/1');
  await call('GET', '/tasks/1');
  await call('POST', '/tasks', { title: 'Rest', priority: 'high' });
  await call('POST', '/tasks', '{"title": ');
  store.all = async () => { throw new Error('database password refused'); };
  await call('GET', '/tasks');
} finally {
  server.close();
  server.closeAllConnections();
}
