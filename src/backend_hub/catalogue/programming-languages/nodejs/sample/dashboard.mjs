// One endpoint that asks several services at the same time, and still answers
// in time when some of them do not.
import { createServer } from 'node:http';

async function ask(url, timeoutMs) {
  const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
  if (!response.ok) {
    await response.body?.cancel(); // let the connection be reused
    throw new Error(`HTTP ${response.status}`);
  }
  return response.json();
}

export function createDashboard({ upstream, names, timeoutMs = 1_000 }) {
  async function dashboard() {
    // All requests start before we wait for the first one.
    const answers = await Promise.allSettled(
      names.map((name) => ask(`${upstream}/${name}`, timeoutMs)),
    );
    const result = { data: {}, missing: {} };
    answers.forEach((answer, i) => {
      if (answer.status === 'fulfilled') {
        result.data[names[i]] = answer.value;
      } else {
        const { name, message } = answer.reason;
        result.missing[names[i]] = name === 'TimeoutError' ? 'timed out' : message;
      }
    });
    return result;
  }

  return createServer(async (request, response) => {
    const send = (status, body) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    };
    try {
      if (request.url !== '/dashboard') return send(404, { error: 'not found' });
      if (request.method !== 'GET') {
        response.setHeader('allow', 'GET');
        return send(405, { error: 'method not allowed' });
      }
      send(200, await dashboard());
    } catch (error) {
      console.error(error); // the details are for us, not for the caller
      send(500, { error: 'internal error' });
    }
  });
}
