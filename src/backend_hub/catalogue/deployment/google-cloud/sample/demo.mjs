// Plays Cloud Run and Pub/Sub: starts the service, pushes messages, sends SIGTERM.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

const probe = createServer().listen(0, '127.0.0.1');
await once(probe, 'listening');
const { port } = probe.address(); // a free port
probe.close();
await once(probe, 'close');

const service = spawn(process.execPath, ['server.mjs'], {
  env: { ...process.env, PORT: String(port), GOOGLE_CLOUD_PROJECT: 'demo-project' },
  stdio: ['ignore', 'pipe', 'inherit'],
});
const exited = once(service, 'exit');
const lines = [];
const output = createInterface({ input: service.stdout }).on('line', (line) => lines.push(line));

async function logged(text) {
  const signal = AbortSignal.timeout(10_000);
  while (!lines.some((line) => line.includes(text))) await once(output, 'line', { signal });
}

async function push(messageId, data) {
  const message = { messageId, data: Buffer.from(data).toString('base64') };
  const response = await fetch(`http://127.0.0.1:${port}/orders`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Cloud-Trace-Context': `trace-${messageId}/1` },
    body: JSON.stringify({ message, subscription: 'projects/demo-project/subscriptions/orders' }),
    signal: AbortSignal.timeout(10_000),
  });
  return response.status;
}

try {
  await logged('ready');
  console.log('first delivery:', await push('m1', '{"id": 41}'));
  console.log('second delivery:', await push('m1', '{"id": 41}'));
  console.log('unreadable:', await push('m2', 'not json'));

  const slow = push('m3', '{"id": 42, "slow": true}');
  await logged('"orderId":42');
  service.kill('SIGTERM'); // in the middle of the work
  console.log('under way at SIGTERM:', await slow);
  const [code] = await exited;
  console.log('exit code:', code);
} finally {
  service.kill('SIGKILL');
}
console.log('--- log of the service');
console.log(lines.join('\n'));
