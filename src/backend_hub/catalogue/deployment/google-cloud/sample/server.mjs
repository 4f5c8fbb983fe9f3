// A Cloud Run service that receives Pub/Sub push messages. No framework, no client library.
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const port = Number(process.env.PORT ?? 8080); // Cloud Run says on which port to listen
const project = process.env.GOOGLE_CLOUD_PROJECT;

// One JSON object a line on standard output: Cloud Logging understands severity and trace.
function log(severity, message, fields = {}, request) {
  const trace = request?.headers['x-cloud-trace-context']?.split('/')[0];
  const link = project && trace ? { 'logging.googleapis.com/trace': `projects/${project}/traces/${trace}` } : {};
  console.log(JSON.stringify({ severity, message, ...fields, ...link }));
}

// Pub/Sub delivers at least once. Remember in a database (Firestore, Cloud SQL) what is done;
// memory is enough for a demonstration, but it is lost with the instance.
const done = new Set();

async function sendInvoice(order) {
  await sleep(order.slow ? 300 : 0); // stands for the real work
}

async function readBody(request, limit = 256 * 1024) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > limit) throw new RangeError('message too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parse(body) {
  const { message } = JSON.parse(body);
  const order = JSON.parse(Buffer.from(message.data, 'base64').toString('utf8'));
  if (!message.messageId || !Number.isInteger(order.id)) throw new TypeError('incomplete message');
  return { messageId: message.messageId, order };
}

// Any 2xx answer acknowledges a message; anything else makes Pub/Sub send it again later.
async function handle(request, response) {
  if (request.method === 'GET' && request.url === '/') return response.writeHead(200).end('ok\n');
  if (request.method !== 'POST' || request.url !== '/orders') return response.writeHead(404).end();
  const body = await readBody(request);
  let parsed;
  try {
    parsed = parse(body);
  } catch (error) {
    // Sending it again will not help. Acknowledge, and let the log raise the alarm.
    log('ERROR', 'dropped a message that cannot be read', { reason: error.name }, request);
    return response.writeHead(204).end();
  }
  const { messageId, order } = parsed;
  if (done.has(messageId)) {
    log('INFO', 'already done', { messageId }, request);
    return response.writeHead(204).end();
  }
  log('INFO', 'working', { messageId, orderId: order.id }, request);
  await sendInvoice(order);
  done.add(messageId);
  return response.writeHead(204).end();
}

const server = createServer((request, response) => {
  handle(request, response).catch((error) => {
    log('ERROR', 'request failed', { error: error.message }, request);
    if (!response.headersSent) response.writeHead(500).end();
  });
});

// Before it removes an instance, Cloud Run sends SIGTERM and waits up to ten seconds.
process.once('SIGTERM', () => {
  log('NOTICE', 'stopping: no new requests, finishing those under way');
  server.close(() => log('NOTICE', 'stopped'));
  server.closeIdleConnections();
});

server.listen(port, () => log('INFO', 'ready'));
